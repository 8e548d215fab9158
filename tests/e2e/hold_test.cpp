// Hold: a lock that is held for as long as a stream lives, and what is told on it.

#include "fixture.hpp"
#include "hold_stream.hpp"
#include "support/tcp_gate.hpp"

#include <google/protobuf/stubs/logging.h>

#include <csignal>

namespace holdfast::e2e {
namespace {

class HoldTest : public testing::Test {
protected:
    bool is_free(const std::string& name) { return !other_.get(name).ok(); }

    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}};
    Client client_{daemon_.address()};
    Client other_{daemon_.address()};
};

TEST_F(HoldTest, WaitsIsGrantedIsRenewedIsReleased) {
    ASSERT_TRUE(other_.acquire("a").ok());
    HoldStream hold{client_, Client::request("a", 3s, 20s)};
    ASSERT_EQ(hold.next(), Event::kQueued);
    EXPECT_EQ(hold.event.queued().position(), 1U);
    EXPECT_EQ(hold.event.queued().holder().owner(), "e2e");
    EXPECT_EQ(hold.event.queued().holder().fencing_token(), other_.lease.fencing_token());
    other_.release(other_.lease.lease_id());
    ASSERT_EQ(hold.next(), Event::kGranted);
    EXPECT_GT(hold.lease.fencing_token(), other_.lease.fencing_token());
    for (int i = 0; i < 4; ++i) {  // beyond its ttl
        ASSERT_TRUE(hold.until(Event::kRenewed));
        const pb::Lease& renewed = hold.event.renewed().lease();
        EXPECT_EQ(renewed.fencing_token(), hold.lease.fencing_token());
        EXPECT_EQ(renewed.anchor(), hold.lease.anchor());
        EXPECT_GT(renewed.safe_for_ms(), 0U);
        EXPECT_LE(renewed.safe_for_ms(), 3000U);
    }
    EXPECT_FALSE(is_free("a"));
    ASSERT_TRUE(client_.release(hold.lease.lease_id()).ok());
    EXPECT_TRUE(is_free("a"));
    EXPECT_TRUE(hold.until(Event::kReleased));
    EXPECT_EQ(hold.event.released().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(hold.finish().ok());
}

TEST_F(HoldTest, IsRefusedLikeAnAcquire) {
    ASSERT_TRUE(other_.acquire("a").ok());
    HoldStream hold{client_, Client::request("a")};
    EXPECT_EQ(hold.next(), Event::EVENT_NOT_SET);
    EXPECT_EQ(hold.finish().reason, "LOCK_HELD");
}

TEST_F(HoldTest, AWaiterThatLeavesLeavesNothing) {
    ASSERT_TRUE(other_.acquire("a").ok());
    {
        HoldStream hold{client_, Client::request("a", 10s, 20s)};
        ASSERT_EQ(hold.next(), Event::kQueued);
    }
    EXPECT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 0; }));
    other_.release(other_.lease.lease_id());
    EXPECT_TRUE(other_.acquire("a").ok());
}

TEST_F(HoldTest, ABrokenStreamKeepsTheLeaseAsLongAsItsHolderMayBelieve) {
    Steady::time_point believed;
    {
        HoldStream hold{client_, Client::request("a", 2s)};
        ASSERT_EQ(hold.next(), Event::kGranted);
        believed = hold.sent_at +
                   std::chrono::milliseconds{hold.lease.elapsed_ms() + hold.lease.safe_for_ms()};
    }
    ASSERT_TRUE(other_.acquire("a", 2s, 10s).ok());
    EXPECT_GE(Steady::now(), believed);
    EXPECT_LT(Steady::now(), believed + 4s) << "it was renewed after the stream broke";
}

TEST_F(HoldTest, ReleaseNowFreesTheLockAtOnce) {
    auto request = Client::request("a", 30s);
    request.set_on_disconnect(pb::ON_DISCONNECT_RELEASE_NOW);
    {
        HoldStream hold{client_, request};
        ASSERT_EQ(hold.next(), Event::kGranted);
    }
    EXPECT_TRUE(other_.acquire("a", 10s, 5s).ok());
}

TEST_F(HoldTest, GraceKeepsTheLeaseUntilItIsResumedOrOver) {
    auto request = Client::request("a", 2s);
    request.set_on_disconnect(pb::ON_DISCONNECT_GRACE);
    request.set_grace_ms(5000);
    pb::Lease lease;
    const auto broken_after = [&](const pb::AcquireRequest& how) {
        HoldStream hold{client_, how};
        EXPECT_EQ(hold.next(), Event::kGranted);
        lease = hold.lease;
    };
    broken_after(request);
    const auto first_break = Steady::now();
    EXPECT_FALSE(other_.acquire("a", 1s, 3s).ok()) << "it is renewed beyond its ttl";
    request.set_resume_lease_id(lease.lease_id());
    const std::uint64_t token = lease.fencing_token();
    broken_after(request);
    EXPECT_EQ(lease.fencing_token(), token);
    const auto second_break = Steady::now();
    ASSERT_TRUE(other_.acquire("a", 1s, 20s).ok());
    EXPECT_GE(Steady::now(), first_break + 7s);
    EXPECT_GE(Steady::now(), second_break + 4900ms);
    EXPECT_LT(Steady::now(), second_break + 10s);
}

TEST_F(HoldTest, AStreamElsewhereTakesTheLeaseOver) {
    Daemon second{{"--store", redis_.url()}};
    Client there{second.address()};
    HoldStream hold{client_, Client::request("a", 6s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    pb::AcquireRequest request;
    request.set_resume_lease_id(hold.lease.lease_id());
    request.set_ttl_ms(3000);
    HoldStream resumed{there, request};
    ASSERT_EQ(resumed.next(), Event::kGranted);
    EXPECT_EQ(resumed.lease.fencing_token(), hold.lease.fencing_token());
    EXPECT_EQ(resumed.lease.lease_id(), hold.lease.lease_id());
    ASSERT_TRUE(hold.until(Event::kLost));
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_MOVED);
    EXPECT_EQ(hold.finish().reason, "LEASE_LOST");
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(resumed.until(Event::kRenewed));
    }
    ASSERT_TRUE(client_.release(hold.lease.lease_id()).ok()) << "at the daemon that had it before";
    EXPECT_TRUE(resumed.until(Event::kReleased));
    EXPECT_TRUE(resumed.finish().ok());
}

// Nobody hears of its answer: were it asked for again, it would take the lease from where its client has
// gone on.
TEST_F(HoldTest, AResumeWhoseStreamHasGoneTakesTheLeaseFromNobody) {
    test::TcpGate gate{redis_.port()};
    Daemon second{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())}};
    Client there{second.address()};
    HoldStream hold{client_, Client::request("a", 3s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    pb::AcquireRequest request;
    request.set_resume_lease_id(hold.lease.lease_id());
    gate.hold_requests(true);
    ASSERT_TRUE(eventually([&] {
        HoldStream{there, request}.cancel();
        return second.sample("holdfast_rpcs_total{code=\"CANCELLED\",method=\"Hold\"}") > 0;
    }));
    gate.cut();
    gate.hold_requests(false);
    // For longer than a lost answer is asked after.
    for (int renewals = 0; renewals < 5; ++renewals) {
        ASSERT_TRUE(hold.until(Event::kRenewed));
    }
}

TEST_F(HoldTest, ALeaseThatHasEndedIsNotResumed) {
    ASSERT_TRUE(client_.acquire("a").ok());
    ASSERT_TRUE(client_.release(client_.lease.lease_id()).ok());
    pb::AcquireRequest request;
    request.set_resume_lease_id(client_.lease.lease_id());
    HoldStream hold{client_, request};
    EXPECT_EQ(hold.next(), Event::EVENT_NOT_SET);
    EXPECT_EQ(hold.finish().reason, "LEASE_LOST");
}

TEST_F(HoldTest, ADaemonThatDrainsSendsItsHoldersElsewhere) {
    Daemon second{{"--store", redis_.url()}};
    Client there{second.address()};
    HoldStream hold{client_, Client::request("a", 5s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    HoldStream waiting{other_, Client::request("a", 5s, 30s)};
    ASSERT_EQ(waiting.next(), Event::kQueued);
    daemon_.process().signal(SIGTERM);
    ASSERT_TRUE(hold.until(Event::kMoving));
    EXPECT_GT(hold.event.moving().safe_for_ms(), 0U);
    EXPECT_EQ(hold.finish().reason, "DRAINING");
    EXPECT_EQ(waiting.finish().reason, "DRAINING");
    pb::AcquireRequest request;
    request.set_resume_lease_id(hold.lease.lease_id());
    HoldStream resumed{there, request};
    ASSERT_EQ(resumed.next(), Event::kGranted);
    EXPECT_EQ(resumed.lease.fencing_token(), hold.lease.fencing_token());
}

TEST_F(HoldTest, ItEndsAfterMaxHold) {
    auto request = Client::request("a", 2s);
    request.set_max_hold_ms(3000);
    HoldStream hold{client_, request};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(hold.until(Event::kLost));
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_MAX_HOLD);
    EXPECT_LE(Steady::now(), hold.sent_at + 5s);
}

TEST_F(HoldTest, ARenewOfTheHolderIsANewAnchor) {
    HoldStream hold{client_, Client::request("a", 10s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(client_.renew(hold.lease.lease_id(), 8s).ok());
    ASSERT_EQ(hold.next(), Event::kRenewed);
    EXPECT_NE(client_.lease.anchor(), hold.lease.anchor());
    EXPECT_EQ(hold.event.renewed().lease().anchor(), client_.lease.anchor());
    EXPECT_EQ(hold.event.renewed().lease().ttl_ms(), 8000U);
}

TEST_F(HoldTest, BadRequestsNameTheField) {
    const auto field = [&](auto change) {
        pb::AcquireRequest request = Client::request("a");
        change(request);
        HoldStream hold{client_, request};
        EXPECT_EQ(hold.next(), Event::EVENT_NOT_SET);
        return hold.finish().field;
    };
    EXPECT_EQ(field([](auto& r) { r.set_name(""); }), "name");
    EXPECT_EQ(field([](auto& r) { r.set_grace_ms(5); }), "grace_ms");
    EXPECT_EQ(field([](auto& r) { r.set_on_disconnect(pb::ON_DISCONNECT_GRACE); }), "grace_ms");
    EXPECT_EQ(field([](auto& r) {
                  r.set_on_disconnect(pb::ON_DISCONNECT_GRACE);
                  r.set_grace_ms(3'600'000);
              }),
              "grace_ms");
    EXPECT_EQ(field([](auto& r) { r.set_on_disconnect(static_cast<pb::OnDisconnect>(9)); }),
              "on_disconnect");
    EXPECT_EQ(field([](auto& r) { r.set_resume_lease_id("x"); }), "resume_lease_id");
    ASSERT_TRUE(client_.acquire("b").ok());
    EXPECT_EQ(field([&](auto& r) { r.set_resume_lease_id(client_.lease.lease_id()); }), "name");
}

TEST(P3LossIsPushed, AtRiskThenRecoveredThenLostBeforeTheDeadline) {
    test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Daemon daemon{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())}};
    Client client{daemon.address()};
    HoldStream hold{client, Client::request("a", 6s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(hold.until(Event::kRenewed));
    gate.refuse(true);
    gate.cut();
    ASSERT_TRUE(hold.until(Event::kAtRisk));
    EXPECT_FALSE(hold.event.at_risk().why().empty());
    EXPECT_EQ(hold.event.at_risk().anchor(), hold.lease.anchor());
    gate.refuse(false);
    ASSERT_EQ(hold.next(), Event::kRecovered);
    gate.hold_requests(true);
    ASSERT_TRUE(hold.until(Event::kAtRisk));
    const auto deadline =
        hold.sent_at + std::chrono::milliseconds{hold.event.at_risk().elapsed_ms() +
                                                 hold.event.at_risk().safe_for_ms()};
    ASSERT_EQ(hold.next(), Event::kLost);
    EXPECT_LT(Steady::now(), deadline + 500ms);
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_DEADLINE);
    EXPECT_EQ(hold.finish().reason, "LEASE_LOST");
}

TEST(P3LossIsPushed, ALeaseThatIsGoneFromTheStoreIsLostAtTheNextRenewal) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Client client{daemon.address()};
    HoldStream hold{client, Client::request("a", 10s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    redis.run({"HSET", "hf:a", "i", "somebody elses!!"});
    ASSERT_EQ(hold.next(), Event::kLost);
    EXPECT_EQ(hold.event.lost().cause(), pb::LOSS_CAUSE_TAKEN);
    EXPECT_LT(Steady::now(), hold.sent_at + 10s);
}

// No FIN, no RST: the network between client and daemon goes silent.
TEST(P4NothingLeaks, AHolderWhoseNetworkDiesIsNoticed) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    test::TcpGate gate{daemon.port()};
    Client client{"127.0.0.1:" + std::to_string(gate.port())};
    Client other{daemon.address()};
    HoldStream hold{client, Client::request("a", 1s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    gate.hold_requests(true);
    gate.hold_replies(true);
    const auto silent = Steady::now();
    ASSERT_TRUE(other.acquire("a", 1s, 25s).ok());
    EXPECT_LT(Steady::now(), silent + 15s) << "keepalive 10 s, and a ttl with its guard";
    gate.cut();
}

}  // namespace
}  // namespace holdfast::e2e
