// The API as a client sees it, on a real daemon with its embedded Redis.

#include "fixture.hpp"
#include "support/tcp_gate.hpp"

#include <google/protobuf/stubs/logging.h>
#include <grpcpp/channel.h>

#include <limits>
#include <thread>

namespace holdfast::e2e {
namespace {

class Api : public testing::Test {
protected:
    static void SetUpTestSuite() { daemon_ = new Daemon{{}}; }
    static void TearDownTestSuite() {
        delete daemon_;
        daemon_ = nullptr;
    }

    // INVALID_ARGUMENT that names the field.
    void expect_invalid(const Answer& answer, const std::string& field) {
        EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
        EXPECT_EQ(answer.reason, "INVALID_ARGUMENT");
        EXPECT_EQ(answer.field, field);
        EXPECT_NE(answer.status.error_message().find(field), std::string::npos);
    }

    static Daemon* daemon_;
    Client client_{daemon_->address()};
};
Daemon* Api::daemon_ = nullptr;

TEST_F(Api, TakesRenewsReleasesWithVerdicts) {
    ASSERT_TRUE(client_.acquire("basic", 5s).ok());
    const pb::Lease first = client_.lease;
    EXPECT_EQ(first.name(), "basic");
    EXPECT_EQ(first.mode(), pb::MODE_EXCLUSIVE);
    EXPECT_EQ(first.ttl_ms(), 5000U);
    EXPECT_LE(first.safe_for_ms(), 5000U);
    EXPECT_GT(first.safe_for_ms(), 4000U);
    EXPECT_LT(first.next_renew_in_ms(), 1700U);
    EXPECT_GT(first.fencing_token(), 0U);
    ASSERT_TRUE(client_.renew(first.lease_id(), 8s).ok());
    EXPECT_EQ(client_.lease.ttl_ms(), 8000U);
    EXPECT_EQ(client_.lease.fencing_token(), first.fencing_token());
    EXPECT_EQ(client_.lease.lease_id(), first.lease_id());
    ASSERT_TRUE(client_.release(first.lease_id()).ok());
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    ASSERT_TRUE(client_.release(first.lease_id()).ok()) << "a retry";
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    const Answer late = client_.renew(first.lease_id());
    EXPECT_EQ(late.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(late.reason, "LEASE_LOST");
}

TEST_F(Api, ALockThatIsHeldTellsByWhom) {
    ASSERT_TRUE(client_.acquire("held").ok());
    const Answer second = Client{daemon_->address()}.acquire("held");
    EXPECT_EQ(second.status.error_code(), grpc::StatusCode::ABORTED);
    EXPECT_EQ(second.reason, "LOCK_HELD");
    EXPECT_EQ(second.metadata.at("holder_owner"), "e2e");
    EXPECT_EQ(second.metadata.at("holder_token"), std::to_string(client_.lease.fencing_token()));
    EXPECT_GT(std::stoi(second.metadata.at("remaining_ms")), 9000);
}

TEST_F(Api, AWaiterGetsTheLockOnRelease) {
    ASSERT_TRUE(client_.acquire("handed on").ok());
    const std::uint64_t first = client_.lease.fencing_token();
    Client waiter{daemon_->address()};
    Answer answer;
    std::thread waiting{[&] { answer = waiter.acquire("handed on", 10s, 20s); }};
    EXPECT_TRUE(eventually([&] {
        return Client{daemon_->address()}.acquire("handed on").metadata["queue_length"] == "1";
    }));
    client_.release(client_.lease.lease_id());
    waiting.join();
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_GT(waiter.lease.fencing_token(), first);
    EXPECT_GT(waiter.lease.safe_for_ms(), 9000U) << "counted from the grant, not from the request";
}

TEST_F(Api, GetAndValidate) {
    EXPECT_EQ(client_.get("nobody's").status.error_code(), grpc::StatusCode::NOT_FOUND);
    pb::AcquireRequest request = Client::request("seen");
    request.set_metadata(std::string("\0\xff binary", 9));
    ASSERT_TRUE(client_.acquire(request).ok());
    ASSERT_TRUE(client_.get("seen").ok());
    ASSERT_EQ(client_.lock.holders_size(), 1);
    EXPECT_EQ(client_.lock.holders(0).owner(), "e2e");
    EXPECT_EQ(client_.lock.holders(0).metadata(), request.metadata());
    EXPECT_EQ(client_.lock.holders(0).fencing_token(), client_.lease.fencing_token());
    EXPECT_GT(client_.lock.holders(0).expires_in_ms(), 9000U);

    const auto validate = [&](std::uint64_t token) {
        grpc::ClientContext context;
        pb::ValidateRequest asked;
        asked.set_name("seen");
        asked.set_fencing_token(token);
        pb::ValidateResponse response;
        EXPECT_TRUE(client_.stub().Validate(&context, asked, &response).ok());
        return response;
    };
    const std::uint64_t token = client_.lease.fencing_token();
    EXPECT_TRUE(validate(token).newest());
    EXPECT_TRUE(validate(token).held());
    EXPECT_FALSE(validate(token - 1).newest());
    EXPECT_FALSE(validate(token - 1).held());
    client_.release(client_.lease.lease_id());
    EXPECT_TRUE(validate(token).newest());
    EXPECT_FALSE(validate(token).held());
}

TEST_F(Api, ARequestIdMakesARetrySafe) {
    pb::AcquireRequest request = Client::request("retried");
    request.set_request_id(std::string(16, 'r'));
    ASSERT_TRUE(client_.acquire(request).ok());
    const pb::Lease first = client_.lease;
    ASSERT_TRUE(client_.acquire(request).ok());
    EXPECT_EQ(client_.lease.lease_id(), first.lease_id());
    client_.release(first.lease_id());
    EXPECT_EQ(client_.acquire(request).reason, "LEASE_LOST") << "used up";
    EXPECT_TRUE(client_.acquire("retried").ok());
}

TEST_F(Api, TheDaemonRenewsForMaxHoldAndNoLonger) {
    pb::AcquireRequest request = Client::request("watched", 1s);
    request.set_max_hold_ms(3000);
    ASSERT_TRUE(client_.acquire(request).ok());
    const auto taken = client_.sent_at;
    Client other{daemon_->address()};
    ASSERT_TRUE(other.acquire("watched", 1s, 10s).ok());
    EXPECT_GT(Steady::now() - taken, 2990ms);
    EXPECT_LT(Steady::now() - taken, 5000ms);
    EXPECT_EQ(client_.renew(client_.lease.lease_id()).reason, "LEASE_LOST");
}

TEST_F(Api, ACancelledWaiterLeavesNothing) {
    ASSERT_TRUE(client_.acquire("cancelled").ok());
    for (int round = 0; round < 20; ++round) {
        grpc::ClientContext context;
        grpc::Status status;
        std::thread waiter{[&] {
            pb::AcquireResponse response;
            Client impatient{daemon_->address()};
            status = impatient.stub().Acquire(
                &context, Client::request("cancelled", 10s, 60s), &response);
        }};
        EXPECT_TRUE(eventually([&] {
            return Client{daemon_->address()}.acquire("cancelled").metadata["queue_length"] == "1";
        }));
        context.TryCancel();
        waiter.join();
        EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    }
    EXPECT_TRUE(eventually([&] {
        return Client{daemon_->address()}.acquire("cancelled").metadata["queue_length"] == "0";
    }));
    client_.release(client_.lease.lease_id());
    EXPECT_TRUE(Client{daemon_->address()}.acquire("cancelled", 1s, 1s).ok());
}

TEST(P4NothingLeaks, AGrantForAClientThatHasLeftIsGivenBack) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Client client{daemon.address()};
    for (int round = 0; round < 5; ++round) {
        redis.process().stop();  // the acquire is on its way to Redis
        EXPECT_FALSE(client.acquire(Client::request("left", 30s), 50ms).ok());
        EXPECT_TRUE(eventually([&] { return daemon.sample("holdfast_acquires_pending") == 0; }))
            << "the daemon has noticed";
        redis.process().resume();  // and is granted, to nobody
        EXPECT_TRUE(client.acquire("left", 30s, 5s).ok()) << "long before its ttl";
        client.release(client.lease.lease_id());
    }
}

// An answer that is in the socket when the client's time is up looks delivered to gRPC: such a lease
// ends with its ttl. Hence the short one.
TEST_F(Api, AStormOfCancelledAcquiresLeavesTheLockFree) {
    std::vector<std::thread> storm;
    for (int i = 0; i < 8; ++i) {
        storm.emplace_back([&] {
            Client impatient{daemon_->address()};
            for (int round = 0; round < 50; ++round) {
                if (impatient.acquire(Client::request("storm", 1s, 60s), 3ms).ok()) {
                    impatient.release(impatient.lease.lease_id());
                }
            }
        });
    }
    for (std::thread& thread : storm) {
        thread.join();
    }
    EXPECT_TRUE(client_.acquire("storm", 10s, 3s).ok()) << "a cancelled grant was left behind";
}

TEST_F(Api, AClientThatIsKilledWhileItWaitsLeavesNothing) {
    ASSERT_TRUE(client_.acquire("killed").ok());
    {
        test::Process waiter{{program("holdfast"),
                              "--server",
                              daemon_->address(),
                              "acquire",
                              "killed",
                              "--wait",
                              "1m"}};
        EXPECT_TRUE(eventually([&] {
            return Client{daemon_->address()}.acquire("killed").metadata["queue_length"] == "1";
        }));
        waiter.kill_and_wait();
    }
    EXPECT_TRUE(eventually([&] {
        return Client{daemon_->address()}.acquire("killed").metadata["queue_length"] == "0";
    }));
    client_.release(client_.lease.lease_id());
    EXPECT_TRUE(client_.acquire("killed").ok());
}

TEST_F(Api, BadNames) {
    const std::string names[] = {"", std::string(513, 'x'), "a\nb", std::string("a\0b", 3), "\x7f"};
    for (const std::string& name : names) {
        expect_invalid(client_.acquire(name), "name");
        expect_invalid(client_.get(name), "name");
    }
    // A proto3 string that is not UTF-8 is no message of ours: gRPC refuses it before we see it. More
    // of them than there are calls armed, so that none is used up.
    google::protobuf::LogSilencer silence;  // of this process, which sends them
    for (int i = 0; i < 200; ++i) {
        const Answer answer = client_.acquire(std::string{"\xff\xfe"});
        ASSERT_EQ(answer.status.error_code(), grpc::StatusCode::INTERNAL);
    }
    EXPECT_TRUE(client_.acquire("a good name").ok());
}

TEST_F(Api, BadNumbersAndSizes) {
    constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();
    const auto with = [](auto change) {
        pb::AcquireRequest request = Client::request("bounds");
        change(request);
        return request;
    };
    for (const std::uint64_t ttl :
         {std::uint64_t{1}, std::uint64_t{999}, std::uint64_t{30'001}, kHuge}) {
        expect_invalid(client_.acquire(with([&](auto& r) { r.set_ttl_ms(ttl); })), "ttl_ms");
    }
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_wait_ms(kHuge); })), "wait_ms");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_max_hold_ms(kHuge); })),
                   "max_hold_ms");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_max_hold_ms(5); })), "max_hold_ms");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_owner(std::string(257, 'o')); })),
                   "owner");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_metadata(std::string(4097, 'm')); })),
                   "metadata");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_request_id("short"); })),
                   "request_id");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_request_id(std::string(65, 'r')); })),
                   "request_id");
    expect_invalid(client_.acquire(with([&](auto& r) { r.set_mode(static_cast<pb::Mode>(77)); })),
                   "mode");
    expect_invalid(
        client_.acquire(with([&](auto& r) { r.set_metadata(std::string(100'000, 'm')); })),
        "metadata");
    EXPECT_EQ(client_.acquire(with([&](auto& r) { r.set_metadata(std::string(2'000'000, 'm')); }))
                  .status.error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_TRUE(client_.acquire("bounds").ok()) << "none of these took the lock";
}

TEST_F(Api, WhatIsAboutAStreamIsRefused) {
    const auto refused = [&](auto change, const char* field) {
        pb::AcquireRequest request = Client::request("unary");
        change(request);
        expect_invalid(client_.acquire(request), field);
    };
    refused([](auto& r) { r.set_on_disconnect(pb::ON_DISCONNECT_GRACE); }, "on_disconnect");
    refused([](auto& r) { r.set_grace_ms(5); }, "grace_ms");
    refused([](auto& r) { r.set_reentrant(true); }, "reentrant");
    refused([](auto& r) { r.set_resume_lease_id("x"); }, "resume_lease_id");
}

TEST_F(Api, BadLeaseIds) {
    ASSERT_TRUE(client_.acquire("lease ids").ok());
    const std::string good = client_.lease.lease_id();
    for (const std::string& bad : {std::string{},
                                   std::string{"random"},
                                   good.substr(0, 20),
                                   good + "x",
                                   std::string(50'000, 'A')}) {
        expect_invalid(client_.release(bad), "lease_id");
        expect_invalid(client_.renew(bad), "lease_id");
    }
    expect_invalid(client_.renew(good, 31s), "ttl_ms");
    EXPECT_TRUE(client_.release(good).ok());
}

}  // namespace
}  // namespace holdfast::e2e
