#include "core_fixture.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;

class LockManagerTest : public CoreTest {
protected:
    std::optional<Result<Released>> release(const Lease& lease) {
        manager_.release(lease, kNever, [this](Result<Released> result) { released_ = result; });
        store_.deliver();
        return released_;
    }
    std::optional<Result<Released>> released_;
};

TEST_F(LockManagerTest, ReleaseTellsWhatHappenedMeanwhile) {
    const Grant held = hold("a");
    EXPECT_EQ((*release(held.lease))->verdict, Verdict::held_throughout);

    const Grant expired = hold("b");
    pass(2s);
    EXPECT_EQ((*release(expired.lease))->verdict, Verdict::already_expired);

    const Grant taken = hold("c");
    store_.take_by_other("c", 1s);
    const auto verdict = *release(taken.lease);
    EXPECT_EQ(verdict->verdict, Verdict::superseded);
    EXPECT_EQ(verdict->newer.value, taken.lease.token.value + 1);
}

TEST_F(LockManagerTest, ReleaseOfALeaseThatNeverWas) {
    const Grant held = hold("a");
    Lease forged = held.lease;
    forged.holder.bytes.fill('f');
    EXPECT_EQ((*release(forged)).error().reason, Reason::not_found);
    EXPECT_TRUE(store_.held("a"));
}

TEST_F(LockManagerTest, AReleaseWithoutAnswerIsRepeatedAndThenCleanedUp) {
    AcquireRequest asked = request("a");
    asked.ttl = Ttl{20s};
    const auto held = acquire(asked);
    store_.deliver();
    store_.usual = Fate::lose_request;
    manager_.release(
        (**held)->lease, kNever, [this](Result<Released> result) { released_ = result; });
    pass(900ms);
    EXPECT_FALSE(released_);
    pass(3s);
    ASSERT_TRUE(released_);
    EXPECT_EQ(released_->error().reason, Reason::outcome_unknown);
    EXPECT_EQ(manager_.counts().reaping, 1U);
    store_.usual = Fate::answer;
    pass(2s);
    EXPECT_EQ(manager_.counts().reaping, 0U);
    EXPECT_FALSE(store_.held("a"));
}

TEST_F(LockManagerTest, AReleaseWhileTheStoreIsAwayDoesNothing) {
    const Grant held = hold("a");
    store_.usual = Fate::refuse;
    manager_.release(held.lease, clock_.now() + 500ms, [this](auto result) { released_ = result; });
    pass(600ms);
    ASSERT_TRUE(released_);
    EXPECT_EQ(released_->error().reason, Reason::store_unavailable);
    EXPECT_EQ(manager_.counts().reaping, 0U);
}

TEST_F(LockManagerTest, RenewNeverRevives) {
    const Grant held = hold("a");
    pass(2s);
    std::optional<Result<Grant>> renewed;
    manager_.renew(held.lease, Ttl{1s}, {}, [&](auto result) { renewed = result; });
    store_.deliver();
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->error().reason, Reason::lease_lost);
}

TEST_F(LockManagerTest, RenewTellsOfANewerGrant) {
    const Grant held = hold("a");
    store_.take_by_other("a", 1s);
    std::optional<Result<Grant>> renewed;
    manager_.renew(held.lease, Ttl{1s}, {}, [&](auto result) { renewed = result; });
    store_.deliver();
    EXPECT_EQ(renewed->error().metadata.at("newer_token"),
              std::to_string(held.lease.token.value + 1));
}

TEST_F(LockManagerTest, ARenewThatIsAnsweredAfterItsTtlExtendsNothing) {
    const Grant held = hold("a");
    std::optional<Result<Grant>> renewed;
    manager_.renew(held.lease, Ttl{1s}, {}, [&](auto result) { renewed = result; });
    clock_.advance(1001ms);
    store_.deliver();
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->error().reason, Reason::outcome_unknown);
}

}  // namespace
}  // namespace holdfast::core
