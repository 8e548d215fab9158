// AcquireAll: sets of locks, on two daemons that share one Redis.

#include "fixture.hpp"
#include "history.hpp"
#include "session_stream.hpp"
#include "support/tcp_gate.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

namespace holdfast::e2e {
namespace {

using Names = std::vector<std::string>;

pb::AcquireAllRequest request(const Names& names,
                              std::chrono::milliseconds ttl = 10s,
                              std::chrono::milliseconds wait = 0ms) {
    pb::AcquireAllRequest request;
    for (const std::string& name : names) {
        request.add_names(name);
    }
    request.set_ttl_ms(static_cast<std::uint64_t>(ttl.count()));
    request.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
    request.set_owner("set");
    return request;
}

class AcquireAll : public testing::Test {
protected:
    // What was granted is in all_.
    Answer acquire_all(Client& client, const pb::AcquireAllRequest& request) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 60s);
        all_.Clear();
        return answer_of(client.stub().AcquireAll(&context, request, &all_));
    }

    bool is_free(const std::string& name) {
        return eventually([&] { return client_.get(name).reason == "NOT_FOUND"; });
    }

    // A call that waits on a thread of its own, until somebody waits for `name`.
    template <class Call>
    std::thread begin_to_wait(const std::string& name, Call call) {
        std::thread waiter{std::move(call)};
        EXPECT_TRUE(eventually([&] {
            return Client{other_daemon_.address()}.acquire(name).metadata["queue_length"] == "1";
        }));
        return waiter;
    }

    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}, {{"HOLDFAST_SERVER_SHARDS", "2"}}};
    Daemon other_daemon_{{"--store", redis_.url()}, {{"HOLDFAST_SERVER_SHARDS", "3"}}};
    Client client_{daemon_.address()};
    Client other_{other_daemon_.address()};
    pb::AcquireAllResponse all_;
};

TEST_F(AcquireAll, AllOrNothing) {
    ASSERT_TRUE(other_.acquire("b").ok());
    const Answer refused = acquire_all(client_, request({"c", "a", "b"}));
    EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::ABORTED);
    EXPECT_EQ(refused.reason, "LOCK_HELD");
    EXPECT_EQ(refused.metadata.at("name"), "b");
    EXPECT_EQ(refused.metadata.at("holder_owner"), "e2e");
    EXPECT_NE(refused.status.error_message().find("\"b\""), std::string::npos);
    EXPECT_TRUE(is_free("a"));
    EXPECT_TRUE(is_free("c"));
    other_.release(other_.lease.lease_id());

    ASSERT_TRUE(acquire_all(client_, request({"c", "a", "b"}, 5s)).ok());
    ASSERT_EQ(all_.leases_size(), 3);
    const Names order{"c", "a", "b"};
    for (int i = 0; i < 3; ++i) {
        const pb::Lease& lease = all_.leases(i);
        EXPECT_EQ(lease.name(), order[static_cast<std::size_t>(i)]);
        EXPECT_EQ(lease.lease_id(), all_.lease_id());
        EXPECT_EQ(lease.mode(), pb::MODE_EXCLUSIVE);
        EXPECT_EQ(lease.ttl_ms(), 5000U);
        EXPECT_EQ(lease.safe_for_ms(), all_.leases(0).safe_for_ms());
        EXPECT_GT(lease.safe_for_ms(), 3000U);
        ASSERT_TRUE(other_.get(lease.name()).ok());
        EXPECT_EQ(other_.lock.holders(0).fencing_token(), lease.fencing_token());
        EXPECT_EQ(other_.lock.holders(0).owner(), "set");
    }
}

TEST_F(AcquireAll, OneRenewAndOneReleaseForAllAtAnyDaemon) {
    ASSERT_TRUE(acquire_all(client_, request({"a", "b"})).ok());
    const std::string id = all_.lease_id();
    ASSERT_TRUE(other_.renew(id, 20s).ok());
    EXPECT_EQ(other_.lease.lease_id(), id);
    EXPECT_EQ(other_.lease.name(), "");
    EXPECT_EQ(other_.lease.fencing_token(), 0U);
    EXPECT_EQ(other_.lease.ttl_ms(), 20'000U);
    EXPECT_GT(other_.lease.safe_for_ms(), 15'000U);
    for (const char* name : {"a", "b"}) {
        ASSERT_TRUE(client_.get(name).ok());
        EXPECT_GT(client_.lock.holders(0).expires_in_ms(), 15'000U);
    }
    EXPECT_EQ(client_.renew(id, 31s).field, "ttl_ms");
    ASSERT_TRUE(other_.release(id).ok());
    EXPECT_EQ(other_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(is_free("a"));
    EXPECT_TRUE(is_free("b"));
    ASSERT_TRUE(client_.release(id).ok()) << "a retry";
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    const Answer late = client_.renew(id);
    EXPECT_EQ(late.reason, "LEASE_LOST");
    EXPECT_EQ(late.metadata.at("name"), "a");
}

TEST_F(AcquireAll, TheDaemonRenewsForMaxHold) {
    pb::AcquireAllRequest asked = request({"a", "b"}, 1s);
    asked.set_max_hold_ms(4000);
    ASSERT_TRUE(acquire_all(client_, asked).ok());
    const auto taken = Steady::now();
    ASSERT_TRUE(other_.acquire("b", 1s, 20s).ok());
    EXPECT_GT(Steady::now() - taken, 3500ms);
    EXPECT_TRUE(is_free("a"));
}

TEST_F(AcquireAll, ManyShareASet) {
    pb::AcquireAllRequest asked = request({"a", "b"});
    asked.set_mode(pb::MODE_SHARED);
    ASSERT_TRUE(acquire_all(client_, asked).ok());
    ASSERT_TRUE(acquire_all(other_, asked).ok());
    EXPECT_EQ(all_.leases(0).mode(), pb::MODE_SHARED);
    ASSERT_TRUE(client_.get("b").ok());
    EXPECT_EQ(client_.lock.holders_size(), 2);
    EXPECT_EQ(acquire_all(client_, request({"b", "c"})).metadata.at("name"), "b");
}

// Clients of both daemons take pairs out of three locks, in any order of the names. No ring of waiting
// sets ever closes: each gets what it waits for.
TEST_F(AcquireAll, OverlappingSetsMakeProgress) {
    constexpr int kClients = 12;
    const std::vector<Names> sets{{"a", "b"}, {"b", "c"}, {"c", "a"}};
    History history;
    std::atomic<int> failures{0};
    const auto stop_at = Steady::now() + 5s;
    std::vector<int> grants(kClients);
    const auto work = [&](int number) {
        std::minstd_rand random{static_cast<unsigned>(number) + 1};
        Client client{(number % 2 == 0 ? daemon_ : other_daemon_).address()};
        while (Steady::now() < stop_at) {
            Names names = sets[random() % sets.size()];
            std::shuffle(names.begin(), names.end(), random);
            grpc::ClientContext context;
            pb::AcquireAllResponse all;
            const auto asked = Steady::now();
            if (!client.stub().AcquireAll(&context, request(names, 10s, 40s), &all).ok()) {
                ++failures;
                continue;
            }
            const auto granted = Steady::now();
            std::this_thread::yield();
            const auto safe =
                std::chrono::milliseconds{all.leases(0).elapsed_ms() + all.leases(0).safe_for_ms()};
            const auto ended = std::min(Steady::now(), asked + safe);
            for (const pb::Lease& lease : all.leases()) {
                history.add(e2e::Hold{lease.name(), lease.fencing_token(), asked, granted, ended});
            }
            client.release(all.lease_id());
            ++grants[static_cast<std::size_t>(number)];
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < kClients; ++i) {
        threads.emplace_back(work, i);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(failures, 0);
    EXPECT_GT(*std::min_element(grants.begin(), grants.end()), 0) << "somebody starved";
    EXPECT_GT(history.size(), 100U);
    const auto problems = history.problems();
    EXPECT_TRUE(problems.empty()) << problems.size() << " problems, as " << problems.front();
    RecordProperty("grants", static_cast<int>(history.size() / 2));
    for (const char* name : {"a", "b", "c"}) {
        EXPECT_TRUE(is_free(name));
    }
}

TEST_F(AcquireAll, ARetryAtTheOtherDaemonGetsTheSameLease) {
    pb::AcquireAllRequest asked = request({"a", "b"});
    asked.set_request_id(std::string(16, 'r'));
    ASSERT_TRUE(acquire_all(client_, asked).ok());
    const pb::AcquireAllResponse first = all_;
    std::swap(*asked.mutable_names(0), *asked.mutable_names(1));
    ASSERT_TRUE(acquire_all(other_, asked).ok());
    EXPECT_EQ(all_.lease_id(), first.lease_id());
    EXPECT_EQ(all_.leases(0).fencing_token(), first.leases(1).fencing_token());
    other_.release(all_.lease_id());
    EXPECT_EQ(acquire_all(client_, asked).reason, "LEASE_LOST") << "used up";
}

TEST_F(AcquireAll, AClientThatIsGoneWhileItWaitsLeavesNothing) {
    ASSERT_TRUE(other_.acquire("b", 30s).ok());
    test::TcpGate gate{daemon_.port()};
    std::thread waiter = begin_to_wait("b", [&] {
        Client far{"127.0.0.1:" + std::to_string(gate.port())};
        pb::AcquireAllResponse all;
        grpc::ClientContext context;
        EXPECT_FALSE(
            far.stub().AcquireAll(&context, request({"a", "b", "c"}, 30s, 60s), &all).ok());
    });
    EXPECT_TRUE(client_.get("a").ok()) << "held, while it waits";
    gate.refuse(true);
    gate.cut();
    waiter.join();
    EXPECT_TRUE(is_free("a")) << "long before its ttl";
    EXPECT_TRUE(eventually([&] { return client_.acquire("b").metadata["queue_length"] == "0"; }));
    other_.release(other_.lease.lease_id());
    EXPECT_TRUE(acquire_all(client_, request({"a", "b", "c"}, 30s)).ok());
}

TEST_F(AcquireAll, ACancelledOneLeavesNothing) {
    ASSERT_TRUE(other_.acquire("b", 30s).ok());
    grpc::ClientContext context;
    std::thread waiter = begin_to_wait("b", [&] {
        pb::AcquireAllResponse all;
        EXPECT_EQ(
            client_.stub().AcquireAll(&context, request({"a", "b"}, 30s, 60s), &all).error_code(),
            grpc::StatusCode::CANCELLED);
    });
    context.TryCancel();
    waiter.join();
    EXPECT_TRUE(is_free("a"));
    EXPECT_TRUE(eventually([&] { return client_.acquire("b").metadata["queue_length"] == "0"; }));
}

TEST_F(AcquireAll, ADrainingDaemonLetsTheWaitingGo) {
    ASSERT_TRUE(other_.acquire("b", 30s).ok());
    Answer answer;
    std::thread waiter = begin_to_wait("b", [&] {
        answer = acquire_all(client_, request({"a", "b"}, 30s, 60s));
    });
    daemon_.process().signal(SIGTERM);
    waiter.join();
    EXPECT_EQ(answer.reason, "DRAINING");
    EXPECT_TRUE(eventually([&] { return other_.get("a").reason == "NOT_FOUND"; }));
}

TEST_F(AcquireAll, OnASessionASetIsRenewedAndReleased) {
    ASSERT_TRUE(acquire_all(other_, request({"a", "b"})).ok());
    SessionStream session{client_};
    auto& renewal = session.add();
    const std::uint64_t renew = renewal.id();
    renewal.mutable_renew()->set_lease_id(all_.lease_id());
    renewal.mutable_renew()->set_ttl_ms(20'000);
    ASSERT_TRUE(session.send());
    const pb::Lease lease = session.result(renew).renew().lease();
    EXPECT_EQ(lease.lease_id(), all_.lease_id());
    EXPECT_GT(lease.safe_for_ms(), 15'000U);
    auto& resuming = session.add();
    const std::uint64_t resume = resuming.id();
    resuming.mutable_resume()->set_lease_id(all_.lease_id());
    const std::uint64_t release = session.release(all_.lease_id());
    ASSERT_TRUE(session.send());
    const auto refused = session.result(resume);
    EXPECT_EQ(refused.error().code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(refused.error().message().find("max_hold_ms"), std::string::npos) << "what to do";
    EXPECT_EQ(session.result(release).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(is_free("a"));
    EXPECT_TRUE(is_free("b"));
}

TEST_F(AcquireAll, HoldAndConvertDoNotTakeASet) {
    ASSERT_TRUE(acquire_all(client_, request({"a", "b"})).ok());
    pb::AcquireRequest hold;
    hold.set_resume_lease_id(all_.lease_id());
    grpc::ClientContext context;
    pb::LeaseEvent event;
    const auto stream = client_.stub().Hold(&context, hold);
    EXPECT_FALSE(stream->Read(&event));
    const Answer held = answer_of(stream->Finish());
    EXPECT_EQ(held.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(held.field, "resume_lease_id");

    pb::ConvertRequest convert;
    convert.set_lease_id(all_.lease_id());
    convert.set_mode(pb::MODE_SHARED);
    grpc::ClientContext convert_context;
    pb::ConvertResponse response;
    const Answer converted =
        answer_of(client_.stub().Convert(&convert_context, convert, &response));
    EXPECT_EQ(converted.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(converted.field, "lease_id");
    EXPECT_NE(converted.status.error_message().find("AcquireAll"), std::string::npos);
}

TEST_F(AcquireAll, TheLargestSet) {
    Names names;
    for (int i = 10; i < 74; ++i) {
        names.push_back(std::string(510, 'x') + std::to_string(i));
    }
    pb::AcquireAllRequest asked = request(names);
    asked.set_metadata(std::string(4096, 'm'));
    ASSERT_TRUE(acquire_all(client_, asked).ok());
    EXPECT_EQ(all_.leases_size(), 64);
    EXPECT_LE(all_.lease_id().size(), 64U * 1024);
    const std::string id = all_.lease_id();
    EXPECT_TRUE(other_.renew(id).ok());
    const Answer held = acquire_all(other_, asked);
    EXPECT_EQ(held.reason, "LOCK_HELD") << "names of any length fit into the error";
    EXPECT_EQ(held.metadata.at("name"), names.front());
    EXPECT_TRUE(client_.release(id).ok());
    for (const std::string& bad : {id.substr(0, id.size() - 4), id + "AAAA", id.substr(4)}) {
        EXPECT_EQ(client_.release(bad).field, "lease_id");
        EXPECT_EQ(client_.renew(bad).field, "lease_id");
    }
}

TEST_F(AcquireAll, BadRequests) {
    const auto expect_invalid = [&](const pb::AcquireAllRequest& asked, const std::string& field) {
        const Answer answer = acquire_all(client_, asked);
        EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
        EXPECT_EQ(answer.field, field);
        EXPECT_NE(answer.status.error_message().find(field), std::string::npos);
        return answer.status.error_message();
    };
    EXPECT_NE(expect_invalid(request({}), "names").find("1 to 64"), std::string::npos);
    Names many;
    for (int i = 0; i < 65; ++i) {
        many.push_back(std::to_string(i));
    }
    EXPECT_NE(expect_invalid(request(many), "names").find("1 to 64"), std::string::npos);
    EXPECT_NE(expect_invalid(request({"a", "twice", "b", "twice"}), "names[3]").find("\"twice\""),
              std::string::npos);
    expect_invalid(request({"a", ""}), "names[1]");
    expect_invalid(request({std::string(513, 'x'), "a"}), "names[0]");
    const auto with = [](auto change) {
        pb::AcquireAllRequest asked = request({"a", "b"});
        change(asked);
        return asked;
    };
    expect_invalid(with([](auto& r) { r.set_mode(pb::MODE_PERMIT); }), "mode");
    expect_invalid(with([](auto& r) { r.set_mode(static_cast<pb::Mode>(77)); }), "mode");
    expect_invalid(with([](auto& r) { r.set_ttl_ms(1); }), "ttl_ms");
    expect_invalid(with([](auto& r) { r.set_max_hold_ms(1); }), "max_hold_ms");
    expect_invalid(with([](auto& r) { r.set_priority(11); }), "priority");
    expect_invalid(with([](auto& r) { r.set_request_id("short"); }), "request_id");
    expect_invalid(with([](auto& r) { r.set_owner(std::string(257, 'o')); }), "owner");
    expect_invalid(with([](auto& r) { r.set_durability(pb::DURABILITY_REPLICATED); }), "replicas");
    EXPECT_TRUE(acquire_all(client_, request({"a", "b"})).ok()) << "none of these took a lock";
}

TEST_F(AcquireAll, ASetWithMaxHoldIsHandedOnWhenItsDaemonGoes) {
    pb::AcquireAllRequest kept = request({"a", "b", "c"}, 2s);
    kept.set_max_hold_ms(60'000);
    ASSERT_TRUE(acquire_all(client_, kept).ok());
    daemon_.process().signal(SIGTERM);
    ASSERT_EQ(daemon_.process().wait(20s), 0) << daemon_.log();
    const auto until = Steady::now() + 5s;  // well past the ttl
    ASSERT_TRUE(eventually([&] { return Steady::now() > until; }));
    for (const pb::Lease& lease : all_.leases()) {
        ASSERT_TRUE(other_.get(lease.name()).ok()) << lease.name();
        EXPECT_EQ(other_.lock.holders(0).fencing_token(), lease.fencing_token());
    }
    ASSERT_TRUE(other_.release(all_.lease_id()).ok());
    EXPECT_EQ(other_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

}  // namespace
}  // namespace holdfast::e2e
