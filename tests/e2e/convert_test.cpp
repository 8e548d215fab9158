// Convert: shared leases that become exclusive and back, alone, in competition, over streams, at another
// daemon, and when the answer is lost.

#include "fixture.hpp"
#include "hold_stream.hpp"
#include "session_stream.hpp"
#include "support/tcp_gate.hpp"

#include <future>

namespace holdfast::e2e {
namespace {

pb::AcquireRequest shared(const std::string& name) {
    pb::AcquireRequest request = Client::request(name);
    request.set_mode(pb::MODE_SHARED);
    return request;
}

Answer convert(Client& client,
               const std::string& lease_id,
               pb::Mode mode,
               std::chrono::milliseconds wait = 0ms) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 30s);
    pb::ConvertRequest request;
    request.set_lease_id(lease_id);
    request.set_mode(mode);
    request.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
    pb::ConvertResponse response;
    const grpc::Status status = client.stub().Convert(&context, request, &response);
    if (status.ok()) {
        client.lease = response.lease();
    }
    return answer_of(status);
}

class ConvertTest : public testing::Test {
protected:
    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}};
    Client client_{daemon_.address()};
    Client other_{daemon_.address()};
};

TEST_F(ConvertTest, SharedToExclusiveAndBack) {
    ASSERT_TRUE(client_.acquire(shared("a")).ok());
    const pb::Lease reader = client_.lease;
    ASSERT_TRUE(convert(client_, reader.lease_id(), pb::MODE_EXCLUSIVE).ok());
    const pb::Lease writer = client_.lease;
    EXPECT_EQ(writer.mode(), pb::MODE_EXCLUSIVE);
    EXPECT_GT(writer.fencing_token(), reader.fencing_token());
    EXPECT_GT(writer.safe_for_ms(), 0U);
    EXPECT_EQ(other_.acquire(shared("a")).reason, "LOCK_HELD");
    // Asked again, by either id, it is the same.
    for (const pb::Lease& lease : {reader, writer}) {
        ASSERT_TRUE(convert(client_, lease.lease_id(), pb::MODE_EXCLUSIVE).ok());
        EXPECT_EQ(client_.lease.fencing_token(), writer.fencing_token());
    }

    ASSERT_TRUE(convert(client_, writer.lease_id(), pb::MODE_SHARED).ok());
    EXPECT_EQ(client_.lease.mode(), pb::MODE_SHARED);
    EXPECT_EQ(client_.lease.fencing_token(), writer.fencing_token());
    ASSERT_TRUE(other_.acquire(shared("a")).ok());
    ASSERT_TRUE(client_.release(client_.lease.lease_id()).ok());
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

TEST_F(ConvertTest, WaitsForTheOtherReadersBeforeAllWhoWait) {
    ASSERT_TRUE(client_.acquire(shared("a")).ok());
    ASSERT_TRUE(other_.acquire(shared("a")).ok());
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE).reason, "LOCK_HELD");
    Client writer{daemon_.address()};
    auto waiting = std::async(std::launch::async, [&] { return writer.acquire("a", 10s, 20s); });
    ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 1; }));
    auto converting = std::async(std::launch::async, [&] {
        return convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE, 20s);
    });
    ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 2; }));
    ASSERT_TRUE(other_.release(other_.lease.lease_id()).ok());
    ASSERT_TRUE(converting.get().ok());
    EXPECT_EQ(client_.lease.mode(), pb::MODE_EXCLUSIVE);
    ASSERT_TRUE(client_.release(client_.lease.lease_id()).ok());
    ASSERT_TRUE(waiting.get().ok());
    EXPECT_GT(writer.lease.fencing_token(), client_.lease.fencing_token());
}

TEST_F(ConvertTest, TheSecondWhoAsksIsRefused) {
    Daemon second{{"--store", redis_.url()}};
    Client elsewhere{second.address()};
    ASSERT_TRUE(client_.acquire(shared("a")).ok());
    ASSERT_TRUE(other_.acquire(shared("a")).ok());
    ASSERT_TRUE(elsewhere.acquire(shared("a")).ok());
    auto converting = std::async(std::launch::async, [&] {
        return convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE, 20s);
    });
    ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 1; }));
    EXPECT_EQ(convert(other_, other_.lease.lease_id(), pb::MODE_EXCLUSIVE, 20s).reason, "DEADLOCK");
    EXPECT_TRUE(eventually([&] {
        return convert(elsewhere, elsewhere.lease.lease_id(), pb::MODE_EXCLUSIVE, 20s).reason ==
               "DEADLOCK";
    }));
    other_.release(other_.lease.lease_id());
    elsewhere.release(elsewhere.lease.lease_id());
    EXPECT_TRUE(converting.get().ok());
}

TEST_F(ConvertTest, OneWhoGivesUpGoesOnSharing) {
    ASSERT_TRUE(client_.acquire(shared("a")).ok());
    ASSERT_TRUE(other_.acquire(shared("a")).ok());
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE, 100ms).reason,
              "LOCK_HELD");
    EXPECT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 0; }));
    Client third{daemon_.address()};
    EXPECT_TRUE(third.acquire(shared("a")).ok());  // nobody stands in the way any more
    EXPECT_TRUE(client_.renew(client_.lease.lease_id()).ok());
    EXPECT_EQ(client_.lease.mode(), pb::MODE_SHARED);
}

TEST_F(ConvertTest, OverAStreamItsLeaseGoesOnInTheNewMode) {
    Daemon second{{"--store", redis_.url()}};
    Client elsewhere{second.address()};
    pb::AcquireRequest request = shared("a");
    request.set_ttl_ms(3000);
    HoldStream hold{client_, request};
    ASSERT_EQ(hold.next(), Event::kGranted);
    // At another daemon: the one that renews hears of it at the next renewal.
    ASSERT_TRUE(convert(elsewhere, hold.lease.lease_id(), pb::MODE_EXCLUSIVE).ok());
    const pb::Lease writer = elsewhere.lease;
    do {
        ASSERT_TRUE(hold.until(Event::kRenewed));
    } while (hold.event.renewed().lease().mode() != pb::MODE_EXCLUSIVE);
    EXPECT_EQ(hold.event.renewed().lease().fencing_token(), writer.fencing_token());
    for (int i = 0; i < 4; ++i) {  // beyond its ttl
        ASSERT_TRUE(hold.until(Event::kRenewed));
    }
    EXPECT_EQ(other_.acquire(shared("a")).reason, "LOCK_HELD");
    ASSERT_TRUE(elsewhere.release(writer.lease_id()).ok());
    EXPECT_TRUE(hold.until(Event::kReleased));
}

TEST_F(ConvertTest, OnASession) {
    SessionStream session{client_};
    const auto taken = session.acquire(shared("a"));
    ASSERT_TRUE(session.send());
    const pb::Lease reader = session.result(taken).acquire().lease();
    ASSERT_FALSE(reader.lease_id().empty());
    ASSERT_TRUE(other_.acquire(shared("a")).ok());
    pb::Operation& operation = session.add();
    const std::uint64_t converting = operation.id();
    operation.mutable_convert()->set_lease_id(reader.lease_id());
    operation.mutable_convert()->set_mode(pb::MODE_EXCLUSIVE);
    operation.mutable_convert()->set_wait_ms(20'000);
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 1; }));
    other_.release(other_.lease.lease_id());
    const pb::Lease writer = session.result(converting).convert().lease();
    EXPECT_EQ(writer.mode(), pb::MODE_EXCLUSIVE);
    EXPECT_GT(writer.fencing_token(), reader.fencing_token());
    const auto released = session.release(writer.lease_id());
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(released).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

// The answer is lost on the way, and so is what a renewal by the old id would have believed.
TEST_F(ConvertTest, ALostAnswerIsHeardByARenewal) {
    test::TcpGate gate{redis_.port()};
    Daemon gated{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())},
                 {{"HOLDFAST_STORE_COMMAND_TIMEOUT", "200ms"}}};
    Client cut{gated.address()};
    ASSERT_TRUE(cut.acquire(shared("a")).ok());
    const pb::Lease reader = cut.lease;
    gate.hold_replies(true);
    EXPECT_EQ(convert(cut, reader.lease_id(), pb::MODE_EXCLUSIVE).reason, "OUTCOME_UNKNOWN");
    gate.hold_replies(false);
    ASSERT_TRUE(client_.renew(reader.lease_id()).ok());
    EXPECT_EQ(client_.lease.mode(), pb::MODE_EXCLUSIVE);
    EXPECT_GT(client_.lease.fencing_token(), reader.fencing_token());
    ASSERT_TRUE(client_.release(reader.lease_id()).ok());  // by the old id, too
    EXPECT_TRUE(other_.acquire("a").ok());
}

TEST_F(ConvertTest, BadInput) {
    EXPECT_EQ(convert(client_, "nonsense", pb::MODE_SHARED).field, "lease_id");
    ASSERT_TRUE(client_.acquire(shared("a")).ok());
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_PERMIT).field, "mode");
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_UNSPECIFIED).field, "mode");
    pb::AcquireRequest permit = Client::request("b");
    permit.set_mode(pb::MODE_PERMIT);
    permit.set_limit(2);
    ASSERT_TRUE(client_.acquire(permit).ok());
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE).field, "lease_id");
    client_.release(client_.lease.lease_id());
    ASSERT_TRUE(client_.acquire(shared("c")).ok());
    client_.release(client_.lease.lease_id());
    EXPECT_EQ(convert(client_, client_.lease.lease_id(), pb::MODE_EXCLUSIVE).reason, "LEASE_LOST");
}

// Up and down again between two renewals: who renews hears of the outcome, and goes on.
TEST_F(ConvertTest, TwiceElsewhereAndTheStreamGoesOn) {
    Daemon second{{"--store", redis_.url()}};
    Client elsewhere{second.address()};
    HoldStream hold{client_, shared("a")};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(convert(elsewhere, hold.lease.lease_id(), pb::MODE_EXCLUSIVE).ok());
    ASSERT_TRUE(convert(elsewhere, elsewhere.lease.lease_id(), pb::MODE_SHARED).ok());
    const std::uint64_t token = elsewhere.lease.fencing_token();
    do {
        ASSERT_TRUE(hold.until(Event::kRenewed));
    } while (hold.event.renewed().lease().fencing_token() != token);
    EXPECT_EQ(hold.event.renewed().lease().mode(), pb::MODE_SHARED);
    ASSERT_TRUE(client_.release(hold.lease.lease_id()).ok());  // by its first id
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(other_.acquire("a").ok());
}

}  // namespace
}  // namespace holdfast::e2e
