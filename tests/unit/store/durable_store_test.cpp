// The lock service over a store that waits for replicas, which acknowledge what the test says.

#include "store/durable_store.hpp"

#include "../core/core_fixture.hpp"
#include "support/acknowledging_client.hpp"

#include <gmock/gmock.h>

namespace holdfast::core {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class DurableStoreTest : public CoreTest {
protected:
    explicit DurableStoreTest(std::size_t least = 0) : least_(least) {
        const redis::ServerInfo server{"run1:zeros:-1", true};
        for (std::size_t lane : {0U, 1U}) {
            replication_.on_line(lane, &server);
        }
    }

    static AcquireRequest replicated(AcquireRequest request, std::uint8_t replicas = 1) {
        request.replicas = replicas;
        return request;
    }
    std::shared_ptr<Answer> take(AcquireRequest asked) {
        auto answer = std::make_shared<Answer>();
        durable_.acquire(std::move(asked), [answer](Result<Grant> grant) { *answer = grant; });
        return answer;
    }
    // The store answers, and so many replicas acknowledge.
    void settle(std::size_t replicas) {
        store_.deliver();
        while (line_.pending() > 0) {
            line_.acknowledge(replicas);
            store_.deliver();
        }
    }
    void pass(Duration time, std::size_t replicas) {
        const Instant end = clock_.now() + time;
        settle(replicas);
        while (clock_.now() < end) {
            clock_.set(std::min(end, std::max(timers_.next(), clock_.now() + Duration{1})));
            timers_.fire(clock_.now());
            settle(replicas);
        }
    }

    std::size_t least_;
    test::AcknowledgingClient line_;
    store::Replication replication_{
        clock_, timers_, {{{line_, [] {}}, {line_, [] {}}}}, {"beacon", 1, 250ms}};
    store::DurableStore durable_store_{
        store_, replication_, least_, [] { return std::string{"run1:zeros:-1"}; }};
    LockManager durable_{
        clock_, timers_, durable_store_, ids_, observer_, feed_, {.max_waiters_per_lock = 100}};
};

class StrictStoreTest : public DurableStoreTest {
protected:
    StrictStoreTest() : DurableStoreTest(2) {}
};

TEST_F(DurableStoreTest, WhatNeedsNoReplicasDoesNotWait) {
    const auto answer = take(request("a"));
    store_.deliver();
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ((**answer)->lease.replicas, 0);
    EXPECT_EQ(replication_.counters().waits, 0U);
}

TEST_F(DurableStoreTest, AGrantIsToldWhenEnoughReplicasHaveIt) {
    const auto answer = take(replicated(request("a")));
    const Instant sent = clock_.now();
    store_.deliver();
    EXPECT_FALSE(*answer);
    clock_.advance(100ms);  // the replica is slow
    settle(1);
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ((**answer)->lease.replicas, 1);
    EXPECT_EQ((**answer)->deadline(), sent + 1000ms) << "the time of WAIT is eaten from the lease";
}

TEST_F(DurableStoreTest, AGrantThatTooFewHaveIsUndone) {
    const auto answer = take(replicated(request("a"), 2));
    settle(1);
    ASSERT_TRUE(failed_with(*answer, Reason::not_durable));
    EXPECT_THAT((*answer)->error().message, HasSubstr("1 of 2 replicas"));
    EXPECT_FALSE(store_.held("a"));
    EXPECT_EQ(durable_.counts().reaping, 0U);
    const auto next = take(request("a"));
    store_.deliver();
    EXPECT_TRUE(*next && **next);
}

TEST_F(DurableStoreTest, AWaiterAsksAgainUntilItIsDurable) {
    const auto answer = take(replicated(waiting("a", "patient", 10s)));
    settle(0);
    EXPECT_FALSE(*answer);
    pass(1s, 0);
    EXPECT_FALSE(*answer);
    pass(1s, 1);
    ASSERT_TRUE(*answer && **answer);
    EXPECT_GE((**answer)->sent_at, clock_.now() - 1s) << "of the sending that counted";
    EXPECT_EQ(store_.acquired_by.size(), 1U) << "one lease, written again";
}

TEST_F(DurableStoreTest, AWaiterWhoseTimeIsOverHearsWhyAndLeavesNothing) {
    const auto answer = take(replicated(waiting("a", "patient", 2s)));
    pass(1900ms, 0);
    EXPECT_FALSE(*answer);
    pass(200ms, 0);
    EXPECT_TRUE(failed_with(*answer, Reason::not_durable));
    EXPECT_FALSE(store_.held("a"));
}

TEST_F(DurableStoreTest, ARenewalThatTooFewHaveExtendsNothing) {
    AcquireRequest asked = replicated(request("a"));
    asked.max_hold = 60s;
    const auto answer = take(asked);
    settle(1);
    ASSERT_TRUE(*answer && **answer);
    const Grant grant = ***answer;
    pass(grant.deadline() - clock_.now() - 1ms, 0);
    EXPECT_EQ(observer_.at_risk, 1);
    EXPECT_TRUE(observer_.lost.empty());
    EXPECT_TRUE(store_.held("a")) << "the primary has renewed it";
    pass(1ms, 0);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
}

TEST_F(DurableStoreTest, ALeaseAtRiskRecoversWithTheReplicas) {
    AcquireRequest asked = replicated(request("a"));
    asked.max_hold = 60s;
    const auto answer = take(asked);
    settle(1);
    pass(600ms, 0);
    EXPECT_EQ(observer_.at_risk, 1);
    pass(5s, 1);
    EXPECT_EQ(observer_.recovered, 1);
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(DurableStoreTest, ARenewalByItsHolderReachesTheSameLevelOrFails) {
    const auto answer = take(replicated(request("a")));
    settle(1);
    const Lease lease = *decode_lease_id(encode_lease_id((**answer)->lease));  // at any daemon
    Answer renewed;
    durable_.renew(lease, Ttl{1s}, {clock_.now()}, [&](auto grant) { renewed = grant; });
    settle(0);
    EXPECT_TRUE(failed_with(renewed, Reason::not_durable));
    durable_.renew(lease, Ttl{1s}, {clock_.now()}, [&](auto grant) { renewed = grant; });
    settle(1);
    ASSERT_TRUE(renewed && *renewed);
    EXPECT_EQ((*renewed)->lease.replicas, 1);
}

TEST_F(DurableStoreTest, WhatAReleaseHandsOnWaitsForReplicasToo) {
    const auto first = take(request("a"));
    store_.deliver();
    const auto next = take(replicated(waiting("a", "next", 10s)));
    store_.deliver();
    std::optional<Verdict> verdict;
    durable_.release((**first)->lease, kNever, [&](auto released) { verdict = released->verdict; });
    store_.deliver();
    EXPECT_FALSE(*next);
    settle(0);
    EXPECT_EQ(verdict, Verdict::held_throughout);
    EXPECT_FALSE(*next);
    pass(100ms, 1);
    EXPECT_TRUE(*next && **next);
    EXPECT_EQ(store_.acquired_by, (std::vector<std::string>{"me", "next"}));
}

TEST_F(DurableStoreTest, ACallerWhoLeavesWhileReplicasAreWaitedForLeavesNothing) {
    auto answer = std::make_shared<Answer>();
    const auto ticket =
        durable_.acquire(replicated(request("a")), [answer](auto grant) { *answer = grant; });
    store_.deliver();
    durable_.cancel_acquire(ticket);
    settle(1);
    EXPECT_FALSE(*answer);
    EXPECT_FALSE(store_.held("a"));
}

TEST_F(StrictStoreTest, EveryGrantAndRenewalNeedsTheMajority) {
    AcquireRequest asked = request("a");
    asked.max_hold = 60s;
    const auto lone = take(asked);
    settle(1);
    EXPECT_TRUE(failed_with(*lone, Reason::not_durable));
    const auto answer = take(asked);
    settle(2);
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ((**answer)->lease.replicas, 2) << "it is told what was reached";
    pass(1s, 1);
    EXPECT_EQ(observer_.lost, std::vector{LossCause::deadline});
}

TEST_F(StrictStoreTest, WhoAsksForMoreGetsMore) {
    const auto answer = take(replicated(request("a"), 3));
    settle(2);
    EXPECT_TRUE(failed_with(*answer, Reason::not_durable));
    const auto enough = take(replicated(request("a"), 3));
    settle(3);
    ASSERT_TRUE(*enough && **enough);
    EXPECT_EQ((**enough)->lease.replicas, 3);
}

TEST_F(StrictStoreTest, AMajorityIsOfThePrimaryAndItsReplicas) {
    EXPECT_EQ(store::majority_replicas(1), 1U);  // 2 of 2 nodes
    EXPECT_EQ(store::majority_replicas(2), 1U);  // 2 of 3
    EXPECT_EQ(store::majority_replicas(3), 2U);  // 3 of 4
    EXPECT_EQ(store::majority_replicas(4), 2U);  // 3 of 5
}

}  // namespace
}  // namespace holdfast::core
