#include "core_fixture.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;
using WatchdogTest = CoreTest;

TEST_F(WatchdogTest, RenewsAWatchedLeaseAtAThirdOfItsTtl) {
    hold("a", 60s);
    pass(295ms);
    EXPECT_EQ(store_.calls["renew"], 0);
    pass(80ms);
    EXPECT_EQ(store_.calls["renew"], 1);
    pass(30s);
    EXPECT_TRUE(store_.held("a"));
    EXPECT_NEAR(store_.calls["renew"], 91, 12);
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(WatchdogTest, RenewsAllAtOnceWhenTheStoreIsAnotherOne) {
    hold("a", 60s);
    store_.fates = {Fate::refuse, Fate::refuse, Fate::refuse};
    pass(500ms);
    hold("b", 60s);
    hold("mine");
    store_.calls.clear();
    store_.renew_sizes.clear();
    const Instant now = clock_.now();
    manager_.renew_all();
    pass(1ns);
    EXPECT_EQ(store_.renew_sizes, std::vector<std::size_t>{2})
        << "in one call; not the client's own";
    EXPECT_GE(store_.expiry("a"), now + 1000ms);
    manager_.renew_all();
    pass(1ns);
    EXPECT_EQ(store_.calls["renew"], 1) << "not again and again";
    pass(30s);
    EXPECT_TRUE(store_.held("a") && store_.held("b"));
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(WatchdogTest, WhatHasEndedIsNotRenewedWithAllOthers) {
    hold("a", 60s);
    clock_.set(clock_.now() + 1100ms);  // the daemon stood still
    manager_.renew_all();
    pass(1ns);
    EXPECT_EQ(store_.calls["renew"], 0);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
}

TEST_F(WatchdogTest, DoesNotRenewWhatTheClientRenewsItself) {
    hold("a");
    pass(5s);
    EXPECT_EQ(store_.calls["renew"], 0);
    EXPECT_FALSE(store_.held("a"));
    EXPECT_TRUE(observer_.lost.empty());
    EXPECT_EQ(manager_.counts().leases, 0U);
}

TEST_F(WatchdogTest, DoubtPutsWatchedLeasesAtRiskUntilTheirNextRenewal) {
    hold("a", 60s);
    hold("b");
    manager_.doubt_leases("the clock was set");
    EXPECT_EQ(observer_.at_risk, 1);
    manager_.doubt_leases("again");
    EXPECT_EQ(observer_.at_risk, 1) << "told twice";
    pass(400ms);
    EXPECT_EQ(store_.calls["renew"], 1);
    EXPECT_EQ(observer_.recovered, 1);
}

TEST_F(WatchdogTest, StopsAtMaxHold) {
    const Instant start = clock_.now();
    hold("a", 2500ms);
    pass(2600ms);
    // Held until max_hold by the client's count, and not much longer by the store's.
    const Instant ends = store_.expiry("a");
    EXPECT_GE(ends, start + 2500ms - 1ms);
    EXPECT_LE(ends, start + 2500ms + 250ms);
    EXPECT_EQ(manager_.counts().leases, 0U);
}

TEST_F(WatchdogTest, ARetryDoesNotBeginMaxHoldAnew) {
    const Instant start = clock_.now();
    AcquireRequest asked = request("a");
    asked.max_hold = 2500ms;
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    acquire(asked);
    pass(2000ms);
    const auto retry = acquire(asked);
    pass(3000ms);
    ASSERT_TRUE(*retry && **retry);
    EXPECT_LE(store_.expiry("a"), start + 3300ms);
    EXPECT_FALSE(store_.held("a"));
}

TEST_F(WatchdogTest, ARetryAfterTheStreamHasGoneIsWatchedAnew) {
    class Quiet final : public LeaseListener {
    public:
        void renewed(Instant) override {}
        void anchored(Instant, Ttl, Instant) override {}
        void converted(const Lease&, Instant) override {}
        void at_risk(Instant, std::string_view) override {}
        void recovered(Instant) override {}
        void revoke_requested(Instant, std::string_view) override {}
        void lost(LossCause, std::string_view) override {}
        void released(const Released&) override {}
        void moving(Instant) override {}
    };
    AcquireRequest asked = request("a");
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    asked.listener = std::make_shared<Quiet>();
    const auto first = acquire(asked);
    pass(100ms);
    ASSERT_TRUE(*first && **first);
    manager_.detach((**first)->lease, asked.listener.get(), 0ms);
    pass(100ms);
    asked.listener = std::make_shared<Quiet>();
    const auto retry = acquire(asked);
    pass(5s);
    ASSERT_TRUE(*retry && **retry);
    EXPECT_TRUE(store_.held("a"));
}

TEST_F(WatchdogTest, AnUnknownOutcomeExtendsNothing) {
    const Grant granted = hold("a", 60s);
    store_.usual = Fate::lose_reply;  // the store does renew; we cannot know
    const Instant deadline = granted.deadline();
    pass(deadline - clock_.now() - 1ms);
    EXPECT_TRUE(observer_.lost.empty());
    EXPECT_EQ(observer_.at_risk, 1);
    pass(2ms);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
    EXPECT_GE(store_.calls["renew"], 3);  // it was tried again before the deadline
}

TEST_F(WatchdogTest, ALossIsNoticedEvenIfTheStoreIsSilent) {
    hold("a", 60s);
    pass(400ms, false);
    EXPECT_TRUE(observer_.lost.empty());
    pass(601ms, false);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
    store_.deliver();  // the answer, too late, changes nothing
    EXPECT_EQ(manager_.counts().leases, 0U);
}

TEST_F(WatchdogTest, RecoversWhenTheStoreAnswersAgain) {
    hold("a", 60s);
    store_.usual = Fate::refuse;
    pass(600ms);
    EXPECT_EQ(observer_.at_risk, 1);
    store_.usual = Fate::answer;
    pass(5s);
    EXPECT_EQ(observer_.recovered, 1);
    EXPECT_TRUE(observer_.lost.empty());
    EXPECT_TRUE(store_.held("a"));
}

TEST_F(WatchdogTest, ALeaseThatIsGoneFromTheStoreIsLostAtOnce) {
    hold("a", 60s);
    store_.take_by_other("a", 60s);
    pass(400ms);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::taken});
}

TEST_F(WatchdogTest, CountsADeadlineFromTheSendOfItsOwnRenewal) {
    hold("a", 60s);
    const Instant start = clock_.now();
    pass(400ms, false);  // sent at about a third, not answered
    clock_.advance(200ms);
    store_.deliver();
    store_.usual = Fate::refuse;
    // If it had counted from the reply, it would hold until 1600 ms.
    pass(start + 1380ms - clock_.now());
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
}

TEST_F(WatchdogTest, AfterAPauseAnExpiredLeaseIsNotRenewed) {
    hold("a", 60s);
    clock_.advance(1100ms);  // SIGSTOP: the ttl has passed, in the store it is still there
    ASSERT_TRUE(store_.held("a"));
    timers_.fire(clock_.now());
    store_.deliver();
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
    EXPECT_EQ(store_.calls["renew"], 0);
}

TEST_F(WatchdogTest, AReleasedLeaseIsNotRenewedEvenIfARenewalWasUnderWay) {
    const Grant granted = hold("a", 60s);
    pass(380ms, false);
    ASSERT_EQ(store_.calls["renew"], 1);
    manager_.release(granted.lease, kNever, [](auto) {});
    store_.deliver();
    pass(5s);
    EXPECT_EQ(store_.calls["renew"], 1);
    EXPECT_FALSE(store_.held("a"));
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(WatchdogTest, RenewsManyLeasesInFewCommands) {
    for (int i = 0; i < 1000; ++i) {
        AcquireRequest asked = request("lock " + std::to_string(i));
        asked.ttl = Ttl{10s};
        asked.max_hold = 600s;
        acquire(asked);
        clock_.advance(Duration{100'000});
    }
    store_.deliver();
    pass(60s);
    std::size_t renewed = 0;
    for (const std::size_t size : store_.renew_sizes) {
        EXPECT_LE(size, LockStore::kMaxRenewals);
        renewed += size;
    }
    EXPECT_NEAR(static_cast<double>(renewed), 18'000, 3'000);
    EXPECT_LT(store_.renew_sizes.size(), renewed / 20);
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(WatchdogTest, AClientsRenewalReplacesTheTtlButNeverTheToldDeadline) {
    AcquireRequest asked = request("a");
    asked.ttl = Ttl{10s};
    const auto answer = acquire(asked);
    store_.deliver();
    const Instant told = (**answer)->deadline();
    std::optional<Grant> renewed;
    manager_.renew((**answer)->lease, Ttl{1s}, {}, [&](Result<Grant> r) { renewed = *r; });
    store_.deliver();
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->deadline(), clock_.now() + 1s);
    EXPECT_GE(store_.expiry("a"), told);  // nobody else gets it before
}

// The store's notice is lost: its word on the next renewal stands in for it.
TEST_F(WatchdogTest, AReleaseElsewhereIsHeardAsOneByTheNextRenewal) {
    AcquireRequest asked = request("a");
    const auto listener = std::make_shared<RecordingListener>();
    asked.listener = listener;
    const auto grant = acquire(asked);
    store_.deliver();
    ASSERT_TRUE(*grant && **grant);
    test::FakeStore other{redis_, clock_, "station2"};
    other.release((**grant)->lease, {}, 1s, [](const auto&) {});
    other.deliver();
    pass(2s);
    EXPECT_EQ(listener->releases, std::vector{Verdict::held_throughout});
    EXPECT_TRUE(listener->losses.empty());
    EXPECT_TRUE(observer_.lost.empty());
    EXPECT_EQ(manager_.counts().renewals.lost, 0U);
}

TEST_F(WatchdogTest, ARenewalByItsHolderHearsThatItWasReleased) {
    const Grant grant = hold("a");
    test::FakeStore other{redis_, clock_, "station2"};
    other.release(grant.lease, {}, 1s, [](const auto&) {});
    other.deliver();
    Answer answer;
    manager_.renew(grant.lease, grant.ttl, {}, [&](auto result) { answer = std::move(result); });
    store_.deliver();
    ASSERT_TRUE(failed_with(answer, Reason::lease_lost));
    EXPECT_EQ(answer->error().message, "the lease has been released");
}

}  // namespace
}  // namespace holdfast::core
