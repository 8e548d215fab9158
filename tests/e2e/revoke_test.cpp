// Revoke and ForceRelease: locks that are taken away from those who hold them, here or at another daemon.

#include "fixture.hpp"
#include "hold_stream.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"

#include <grpcpp/channel.h>

#include <future>
#include <memory>

namespace holdfast::e2e {
namespace {

class RevokeTest : public testing::Test {
protected:
    Answer revoke(const std::string& name,
                  std::chrono::milliseconds deadline,
                  std::uint64_t token = 0) {
        pb::RevokeRequest request;
        request.set_name(name);
        request.set_fencing_token(token);
        request.set_deadline_ms(static_cast<std::uint64_t>(deadline.count()));
        request.set_reason("maintenance");
        grpc::ClientContext context;
        return answer_of(admin_->Revoke(&context, request, &revoked));
    }
    Answer force_release(const std::string& name, bool immediate = false, std::uint64_t token = 0) {
        pb::ForceReleaseRequest request;
        request.set_name(name);
        request.set_fencing_token(token);
        request.set_immediate(immediate);
        request.set_reason("stuck");
        grpc::ClientContext context;
        return answer_of(admin_->ForceRelease(&context, request, &forced));
    }

    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}};
    Daemon admin_daemon_{{"--store", redis_.url()}};  // the operator's is another than the holders'
    Client client_{daemon_.address()};
    Client other_{daemon_.address()};
    std::unique_ptr<pb::AdminService::Stub> admin_ =
        pb::AdminService::NewStub(Client{admin_daemon_.address()}.channel());
    pb::RevokeResponse revoked;
    pb::ForceReleaseResponse forced;
};

TEST_F(RevokeTest, AHolderIsAskedAndThenNotRenewedAnyMore) {
    HoldStream hold{client_, Client::request("a", 2s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(revoke("a", 3s).ok());
    ASSERT_EQ(revoked.asked_size(), 1);
    EXPECT_EQ(revoked.asked(0).fencing_token(), hold.lease.fencing_token());
    const auto asked_at = Steady::now();
    ASSERT_TRUE(hold.until(Event::kRevokeRequested));
    EXPECT_EQ(hold.event.revoke_requested().reason(), "maintenance");
    EXPECT_LE(hold.event.revoke_requested().deadline_in_ms(), 3000U);
    EXPECT_EQ(other_.acquire("a").reason, "LOCK_HELD");
    ASSERT_TRUE(hold.until(Event::kLost));  // it does not yield
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_REVOKED);
    EXPECT_GE(Steady::now() - asked_at, 3s);  // it had its time
    const Answer end = hold.finish();
    EXPECT_EQ(end.reason, "LEASE_LOST");
    EXPECT_TRUE(other_.acquire("a", 10s, 20s).ok());
    EXPECT_GT(other_.lease.fencing_token(), hold.lease.fencing_token());
}

TEST_F(RevokeTest, AHolderThatYieldsLosesNothing) {
    HoldStream hold{client_, Client::request("a")};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(revoke("a", 20s).ok());
    ASSERT_TRUE(hold.until(Event::kRevokeRequested));
    ASSERT_TRUE(client_.release(hold.lease.lease_id()).ok());
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(hold.until(Event::kReleased));
    EXPECT_TRUE(other_.acquire("a").ok());
    EXPECT_TRUE(other_.renew(other_.lease.lease_id()).ok());  // the next one is not concerned
}

TEST_F(RevokeTest, WhoRenewsByItselfIsRefusedAfterTheDeadline) {
    ASSERT_TRUE(client_.acquire("a", 2s).ok());
    ASSERT_TRUE(revoke("a", 1ms).ok());
    EXPECT_TRUE(eventually([&] { return !client_.renew(client_.lease.lease_id(), 2s).ok(); }));
    EXPECT_EQ(client_.renew(client_.lease.lease_id(), 2s).reason, "LEASE_LOST");
    EXPECT_EQ(other_.acquire("a").reason, "LOCK_HELD");  // until its ttl
    EXPECT_TRUE(other_.acquire("a", 10s, 20s).ok());
}

TEST_F(RevokeTest, ForceReleaseTellsTheHolderAtOnceAndFreesTheLockWhenItsLeaseHasEnded) {
    HoldStream hold{client_, Client::request("a", 5s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(force_release("a").ok());
    ASSERT_EQ(forced.released_size(), 1);
    EXPECT_GT(forced.free_in_ms(), 0U);
    EXPECT_LE(forced.free_in_ms(), 5520U);  // what the store keeps beyond the ttl
    ASSERT_TRUE(hold.until(Event::kLost));
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_REVOKED);
    EXPECT_EQ(hold.event.lost().why(), "stuck");
    EXPECT_EQ(other_.acquire("a").reason, "LOCK_HELD");
    EXPECT_TRUE(other_.acquire("a", 10s, 20s).ok());
}

TEST_F(RevokeTest, ImmediatelyTheNextOneHasIt) {
    HoldStream hold{client_, Client::request("a", 20s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    auto waiting = std::async(std::launch::async, [&] { return other_.acquire("a", 10s, 20s); });
    ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 1; }));
    const auto forced_at = Steady::now();
    ASSERT_TRUE(force_release("a", true).ok());
    EXPECT_EQ(forced.free_in_ms(), 0U);
    ASSERT_TRUE(waiting.get().ok());
    EXPECT_LT(Steady::now() - forced_at, 15s);  // not the lease's end
    EXPECT_GT(other_.lease.fencing_token(), hold.lease.fencing_token());
    EXPECT_TRUE(hold.until(Event::kLost));
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_TAKEN) << "its deadline counts no more";
    EXPECT_EQ(hold.event.lost().why(), "stuck");
    client_.release(hold.lease.lease_id());
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_SUPERSEDED);
}

TEST_F(RevokeTest, OneOfSeveralByItsToken) {
    pb::AcquireRequest shared = Client::request("a", 20s);
    shared.set_mode(pb::MODE_SHARED);
    HoldStream first{client_, shared};
    ASSERT_EQ(first.next(), Event::kGranted);
    HoldStream second{client_, shared};
    ASSERT_EQ(second.next(), Event::kGranted);
    ASSERT_TRUE(force_release("a", true, first.lease.fencing_token()).ok());
    ASSERT_EQ(forced.released_size(), 1);
    EXPECT_TRUE(first.until(Event::kLost));
    ASSERT_TRUE(client_.renew(second.lease.lease_id()).ok());
    EXPECT_EQ(force_release("a", true, first.lease.fencing_token()).reason, "NOT_FOUND");
    ASSERT_TRUE(force_release("a", true).ok());
    EXPECT_TRUE(second.until(Event::kLost));
    EXPECT_TRUE(other_.acquire("a").ok());
}

// The notice does not reach its daemon: the next renewal tells.
TEST_F(RevokeTest, ALostNoticeIsMadeUpForByTheNextRenewal) {
    HoldStream hold{client_, Client::request("a", 3s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    redis_.run({"CLIENT", "KILL", "TYPE", "pubsub"});
    ASSERT_TRUE(force_release("a").ok());
    ASSERT_TRUE(hold.until(Event::kLost));
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_REVOKED);
}

TEST_F(RevokeTest, BadInput) {
    EXPECT_EQ(revoke("", 1s).field, "name");
    EXPECT_EQ(revoke("a", std::chrono::hours{2}).field, "deadline_ms");
    EXPECT_EQ(revoke("nobody has it", 1s).reason, "NOT_FOUND");
}

}  // namespace
}  // namespace holdfast::e2e
