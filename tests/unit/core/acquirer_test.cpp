#include "core_fixture.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;
using AcquirerTest = CoreTest;

TEST_F(AcquirerTest, GrantsAFreeLockWithADeadlineFromBeforeTheSend) {
    const auto answer = acquire(request("a"));
    const Instant sent = clock_.now();
    clock_.advance(300ms);  // the store is slow
    store_.deliver();
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ((**answer)->deadline(), sent + 1000ms);
}

TEST_F(AcquirerTest, TellsWhoHoldsALockThatIsNotFree) {
    const Grant held = hold("a");
    const auto answer = acquire(request("a", "second"));
    store_.deliver();
    ASSERT_TRUE(failed_with(*answer, Reason::lock_held));
    const auto& metadata = (*answer)->error().metadata;
    EXPECT_EQ(metadata.at("holder_owner"), "me");
    EXPECT_EQ(metadata.at("holder_token"), std::to_string(held.lease.token.value));
    EXPECT_EQ(metadata.at("remaining_ms"), "1120");
    EXPECT_EQ(manager_.counts().waiting, 0U);
}

TEST_F(AcquirerTest, TwoWhoTryAtOnceCostOneCommand) {
    const auto first = acquire(request("a"));
    const auto second = acquire(request("a"));
    store_.deliver();
    EXPECT_TRUE(*first && **first);
    EXPECT_TRUE(failed_with(*second, Reason::lock_held));
    EXPECT_EQ(store_.calls["acquire"], 1);
}

TEST_F(AcquirerTest, WaitersAreServedInOrderOfArrival) {
    const Grant held = hold("a");
    std::vector<std::shared_ptr<Answer>> answers;
    for (const char* owner : {"w1", "w2", "w3"}) {
        answers.push_back(acquire(waiting("a", owner)));
    }
    store_.deliver();
    for (int next = 0; next < 3; ++next) {
        const Lease lease =
            next == 0 ? held.lease : (**answers[static_cast<std::size_t>(next) - 1])->lease;
        manager_.release(lease, kNever, [](auto) {});
        store_.deliver();
        ASSERT_TRUE(*answers[static_cast<std::size_t>(next)]) << next;
    }
    EXPECT_EQ(store_.acquired_by, (std::vector<std::string>{"me", "w1", "w2", "w3"}));
}

TEST_F(AcquirerTest, OneWhoTriesDoesNotBargePastWaiters) {
    hold("a");
    const auto waiter = acquire(waiting("a", "w1"));
    store_.deliver();
    store_.free("a");  // released through another daemon: nobody here knows yet
    const auto trier = acquire(request("a", "trier"));
    store_.deliver();
    EXPECT_TRUE(failed_with(*trier, Reason::lock_held));
    pass(1300ms);
    EXPECT_TRUE(*waiter && **waiter);
}

TEST_F(AcquirerTest, AWaiterGetsAnExpiredLock) {
    store_.take_by_other("a", 500ms);
    const auto waiter = acquire(waiting("a", "w1"));
    store_.deliver();
    pass(499ms);
    EXPECT_FALSE(*waiter);
    pass(5ms);
    EXPECT_TRUE(*waiter && **waiter);
}

TEST_F(AcquirerTest, TheWaitEnds) {
    store_.take_by_other("a", 60s);
    const auto waiter = acquire(waiting("a", "w1", 2s));
    pass(1999ms);
    EXPECT_FALSE(*waiter);
    pass(2ms);
    EXPECT_TRUE(failed_with(*waiter, Reason::lock_held));
    EXPECT_EQ(manager_.counts().waiting, 0U);
}

TEST_F(AcquirerTest, TheCallsDeadlineEndsTheWaitToo) {
    store_.take_by_other("a", 60s);
    AcquireRequest asked = waiting("a", "w1");
    asked.call_deadline = clock_.now() + 1s;
    const auto waiter = acquire(asked);
    pass(1001ms);
    EXPECT_TRUE(failed_with(*waiter, Reason::lock_held));
}

TEST_F(AcquirerTest, ACancelledWaiterIsGoneAtOnceAndNeverGranted) {
    const Grant held = hold("a");
    const auto first = acquire(waiting("a", "w1"));
    const auto cancelled = last_ticket_;
    store_.deliver();
    const auto second = acquire(waiting("a", "w2"));
    manager_.cancel_acquire(cancelled);
    manager_.release(held.lease, kNever, [](auto) {});
    store_.deliver();
    EXPECT_FALSE(*first);
    EXPECT_TRUE(*second && **second);
    EXPECT_EQ(store_.acquired_by, (std::vector<std::string>{"me", "w2"}));
}

TEST_F(AcquirerTest, AGrantThatCrossesItsCancellationIsGivenBack) {
    const auto answer = acquire(request("a"));
    manager_.cancel_acquire(last_ticket_);
    store_.deliver();
    EXPECT_FALSE(*answer);
    EXPECT_FALSE(store_.held("a"));
    EXPECT_EQ(manager_.counts().waiting, 0U);
    EXPECT_EQ(manager_.counts().leases, 0U);
    EXPECT_EQ(manager_.counts().reaping, 0U);
}

TEST_F(AcquirerTest, ALostReplyIsResolvedToTheSameGrant) {
    store_.fates = {Fate::lose_reply};
    const auto answer = acquire(request("a"));
    pass(500ms);
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ(store_.acquired_by.size(), 1U);  // granted once
}

TEST_F(AcquirerTest, ALostRequestIsSentAgain) {
    store_.fates = {Fate::lose_request, Fate::lose_request};
    const auto answer = acquire(request("a"));
    pass(500ms);
    EXPECT_TRUE(*answer && **answer);
}

TEST_F(AcquirerTest, AnUnresolvedOutcomeIsSaidToBeUnknownAndCleanedUp) {
    store_.usual = Fate::lose_reply;
    const auto answer = acquire(request("a"));
    pass(4s);
    EXPECT_TRUE(failed_with(*answer, Reason::outcome_unknown));
    EXPECT_EQ(observer_.unknown, 1);
    EXPECT_EQ(manager_.counts().reaping, 1U);
    store_.usual = Fate::answer;
    pass(2500ms);
    EXPECT_FALSE(store_.held("a"));
    EXPECT_EQ(manager_.counts().reaping, 0U);
}

TEST_F(AcquirerTest, ACommandThatRunsLateAfterTheCancelDoesNothing) {
    store_.usual = Fate::late;
    const auto answer = acquire(request("a"));
    pass(4s);
    ASSERT_TRUE(failed_with(*answer, Reason::outcome_unknown));
    store_.usual = Fate::answer;
    pass(2s);
    ASSERT_GE(store_.calls["cancel"], 1);
    store_.run_late();  // the acquires, and the first cancels
    EXPECT_FALSE(store_.held("a"));
}

TEST_F(AcquirerTest, AStoreThatIsAwayIsSaidToBeAwayAndNothingIsCleanedUp) {
    store_.usual = Fate::refuse;
    const auto answer = acquire(request("a"));
    store_.deliver();
    EXPECT_TRUE(failed_with(*answer, Reason::store_unavailable));
    EXPECT_EQ(store_.calls["cancel"], 0);
}

TEST_F(AcquirerTest, AWaiterOutlastsAStoreThatIsAway) {
    store_.usual = Fate::refuse;
    const auto answer = acquire(waiting("a", "w1"));
    pass(3s);
    EXPECT_FALSE(*answer);
    store_.usual = Fate::answer;
    pass(1s);
    EXPECT_TRUE(*answer && **answer);
}

TEST_F(AcquirerTest, AWaiterWhoseTimeEndsWhileTheStoreIsAwayHearsThat) {
    store_.usual = Fate::refuse;
    const auto answer = acquire(waiting("a", "w1", 2s));
    pass(2100ms);
    EXPECT_TRUE(failed_with(*answer, Reason::store_unavailable));
}

TEST_F(AcquirerTest, AGrantThatIsReadAfterItsDeadlineIsNoGrant) {
    const auto answer = acquire(request("a"));
    clock_.advance(1500ms);  // the process stood still, or the store did
    store_.deliver();
    EXPECT_FALSE(*answer);
    pass(500ms);
    ASSERT_TRUE(*answer && **answer);  // the fixture checks the deadline
}

TEST_F(AcquirerTest, AUsedUpRequestIdIsRefused) {
    AcquireRequest asked = request("a");
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    const auto first = acquire(asked);
    store_.deliver();
    manager_.release((**first)->lease, kNever, [](auto) {});
    store_.deliver();
    const auto again = acquire(asked);
    store_.deliver();
    EXPECT_TRUE(failed_with(*again, Reason::lease_lost));
}

TEST_F(AcquirerTest, ARetryWithTheSameRequestIdGetsTheSameLease) {
    AcquireRequest asked = request("a");
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    const auto first = acquire(asked);
    store_.deliver();
    const auto again = acquire(asked);
    store_.deliver();
    EXPECT_EQ((**first)->lease.token, (**again)->lease.token);
    EXPECT_EQ((**first)->lease.holder, (**again)->lease.holder);
}

TEST_F(AcquirerTest, CleaningUpBehindACallDoesNotEndWhatItsRetryWasTold) {
    AcquireRequest asked = request("a");
    asked.ttl = Ttl{10s};
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    store_.usual = Fate::lose_reply;
    const auto first = acquire(asked);
    pass(4s);
    ASSERT_TRUE(failed_with(*first, Reason::outcome_unknown));
    ASSERT_EQ(manager_.counts().reaping, 1U);
    store_.usual = Fate::answer;
    const auto retry = acquire(asked);
    pass(3s);
    ASSERT_TRUE(*retry && **retry);
    EXPECT_EQ(manager_.counts().reaping, 0U);
    EXPECT_TRUE(store_.held("a")) << "the retry was told that it holds";
}

TEST_F(AcquirerTest, AnAnswerThatWasNotDeliveredDoesNotEndWhatTheRetryWasTold) {
    AcquireRequest asked = request("a");
    asked.max_hold = 60s;
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    const auto first = acquire(asked);
    store_.deliver();
    const auto retry = acquire(asked);
    store_.deliver();
    ASSERT_TRUE(*retry && **retry);
    manager_.abandon(***first);  // its connection broke; noticed only now
    pass(5s);
    EXPECT_TRUE(store_.held("a")) << "and renewed for the retry";
}

TEST_F(AcquirerTest, ARetryIsNotQueuedBehindThoseWhoWaitForItsOwnLease) {
    AcquireRequest asked = waiting("a", "me");
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    acquire(asked);
    store_.deliver();
    const auto other = acquire(waiting("a", "w1"));
    store_.deliver();
    const auto retry = acquire(asked);
    store_.deliver();
    EXPECT_TRUE(*retry && **retry);
    EXPECT_FALSE(*other);
}

// Each has a request_id, as careful clients do, and so might be a retry.
TEST_F(AcquirerTest, SeveralWhoTryAtOnceAndShareAreAllGranted) {
    std::vector<std::shared_ptr<Answer>> answers;
    for (int i = 0; i < 3; ++i) {
        AcquireRequest asked = request("a");
        asked.holder = ids_.next();
        asked.access = Access{Mode::shared};
        answers.push_back(acquire(asked));
    }
    store_.deliver();
    for (const auto& answer : answers) {
        EXPECT_TRUE(*answer && **answer);
    }
}

TEST_F(AcquirerTest, ARetryThatHasToWaitAfterAllCanBeCancelled) {
    AcquireRequest asked = waiting("a", "me");
    asked.holder = RequestId::parse(std::string(32, 'r'))->holder_for(asked.name);
    acquire(asked);
    store_.deliver();
    store_.take_by_other("a", 60s);  // lost; not noticed here yet
    const auto retry = acquire(asked);
    const auto ticket = last_ticket_;
    pass(100ms);
    EXPECT_EQ(manager_.counts().waiting, 1U);
    manager_.cancel_acquire(ticket);
    EXPECT_EQ(manager_.counts().waiting, 0U);
    EXPECT_FALSE(*retry);
}

// The release may be repeated for longer than the waiter has time.
TEST_F(AcquirerTest, WhoWasOfferedToALostReleaseIsAnsweredSoonAfterItsWait) {
    const Grant held = hold("a");
    const auto waiter = acquire(waiting("a", "waiter", 1s));
    store_.deliver();
    store_.usual = Fate::lose_request;
    manager_.release(held.lease, kNever, [](const auto&) {});
    pass(4600ms);
    EXPECT_TRUE(failed_with(*waiter, Reason::outcome_unknown));
}

TEST_F(AcquirerTest, AnUnfitStoreIsNotAskedUntilItIsFit) {
    hold("a", 60s);
    const auto waiter = acquire(waiting("a", "waiter"));
    store_.deliver();
    manager_.set_unfit("it evicts");
    ASSERT_TRUE(failed_with(*waiter, Reason::store_unavailable));
    EXPECT_NE((**waiter).error().message.find("it evicts"), std::string::npos);
    store_.calls.clear();
    EXPECT_TRUE(failed_with(*acquire(request("b")), Reason::store_unavailable));
    EXPECT_EQ(store_.calls["acquire"], 0);
    pass(1s);
    EXPECT_TRUE(store_.held("a")) << "what is held goes on";
    manager_.set_unfit("");
    hold("b");
}

TEST_F(AcquirerTest, DrainAnswersThoseWhoWaitAndRefusesNewOnes) {
    hold("a");
    const auto waiter = acquire(waiting("a", "w1"));
    store_.deliver();
    const auto under_way = acquire(request("b"));
    manager_.drain();
    EXPECT_TRUE(failed_with(*waiter, Reason::draining));
    store_.deliver();
    EXPECT_TRUE(*under_way && **under_way);
    EXPECT_TRUE(failed_with(*acquire(request("c")), Reason::draining));
}

TEST_F(AcquirerTest, TheQueueHasABound) {
    hold("a");
    for (int i = 0; i < 100; ++i) {
        acquire(waiting("a", "w"));
    }
    EXPECT_TRUE(failed_with(*acquire(waiting("a", "one too many")), Reason::queue_full));
}

TEST_F(AcquirerTest, AGrantMayBeAbandonedWhileItIsAnswered) {
    for (const bool somebody_waits : {false, true}) {
        const std::string name = somebody_waits ? "waited for" : "alone";
        manager_.acquire(request(name), [this](Result<Grant> granted) {
            ASSERT_TRUE(granted);
            manager_.abandon(*granted);  // its caller has no use for it any more
        });
        std::shared_ptr<Answer> waiter;
        if (somebody_waits) {
            waiter = acquire(waiting(name, "w1"));
        }
        store_.deliver();
        EXPECT_EQ(store_.held(name), somebody_waits);
        EXPECT_EQ(manager_.counts().waiting, 0U);
        EXPECT_TRUE(!somebody_waits || (*waiter && **waiter));
    }
}

TEST_F(AcquirerTest, AnAbandonedGrantIsGivenBackAndTheNextWaiterServed) {
    const Grant granted = hold("a", 60s);
    const auto waiter = acquire(waiting("a", "w1"));
    store_.deliver();
    manager_.abandon(granted);
    store_.deliver();
    EXPECT_TRUE(*waiter && **waiter);
}

}  // namespace
}  // namespace holdfast::core
