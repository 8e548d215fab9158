#include "store/clock_steps.hpp"

#include "support/fake_store.hpp"
#include "support/lua_redis.hpp"
#include "support/manual_clock.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::store {
namespace {

using namespace std::chrono_literals;
using core::Duration;
using core::Instant;

// A Redis whose clock is ours plus an offset, over a link with two ways.
class ClockStepsTest : public testing::Test {
protected:
    std::optional<std::chrono::microseconds> ask(Duration there, Duration back) {
        const Instant sent = now_;
        const auto says = std::chrono::duration_cast<std::chrono::microseconds>(
            (sent + there + offset_).time_since_epoch());
        now_ = sent + there + back;
        return steps_.learn(says, sent, now_);
    }

    ClockSteps steps_;
    Instant now_{1000s};
    Duration offset_ = 1'700'000'000s;
};

TEST_F(ClockStepsTest, NoticesAStepOfEitherDirectionInTheNextReply) {
    EXPECT_EQ(ask(1ms, 1ms), std::nullopt);
    offset_ += 60s;
    now_ += 1s;
    const auto forward = ask(1ms, 1ms);
    ASSERT_TRUE(forward);
    EXPECT_GT(*forward, 59s);
    EXPECT_LE(*forward, 60s);
    EXPECT_EQ(ask(1ms, 1ms), std::nullopt) << "noticed twice";
    offset_ -= 60s;
    const auto backward = ask(1ms, 1ms);
    ASSERT_TRUE(backward);
    EXPECT_LT(*backward, -59s);
    EXPECT_EQ(ask(1ms, 1ms), std::nullopt);
}

TEST_F(ClockStepsTest, SlowRepliesAreNoSteps) {
    std::minstd_rand random{7};
    for (int i = 0; i < 10'000; ++i) {
        const auto way = [&] { return std::chrono::microseconds{random() % 3'000'000}; };
        EXPECT_EQ(ask(way(), way()), std::nullopt);
        now_ += way();
    }
}

TEST_F(ClockStepsTest, AClockThatRunsWithinTheGuardIsNoStep) {
    for (int i = 0; i < 10'000; ++i) {
        EXPECT_EQ(ask(1ms, 1ms), std::nullopt);
        now_ += 100ms;
        offset_ += i < 5'000 ? 9ms : -9ms;
    }
}

TEST_F(ClockStepsTest, AStepThatASlowReplyHidesIsNoticedByTheNextQuickOne) {
    ask(1ms, 1ms);
    offset_ += 500ms;
    EXPECT_EQ(ask(1ms, 2s), std::nullopt);
    EXPECT_TRUE(ask(1ms, 1ms));
    offset_ += 5s;
    EXPECT_TRUE(ask(1ms, 2s)) << "too much to be hidden";
}

TEST_F(ClockStepsTest, SmallStepsAddUp) {
    ask(1ms, 1ms);
    int noticed = 0;
    for (int i = 0; i < 5; ++i) {
        offset_ += 40ms;
        noticed += ask(1ms, 1ms) ? 1 : 0;
    }
    EXPECT_GE(noticed, 1);
}

// The first look at a primary by another clock is no step of a clock.
TEST(StoreClock, IsAnotherOneAfterAFailover) {
    test::ManualClock clock;
    Duration ahead{};
    test::LuaRedis redis{[&] {
        return std::chrono::duration_cast<std::chrono::microseconds>(
                   (clock.now() + ahead).time_since_epoch())
            .count();
    }};
    test::FakeStore store{redis, clock};
    const auto look = [&] {
        store.inspect(*core::LockName::parse("a"), 1s, [](const auto&) {});
        store.deliver();
    };
    look();
    ahead = 60s;
    store.connected_to({"another run"});
    look();
    EXPECT_EQ(store.clock_set().forward, 0);
    ahead = 120s;
    look();
    EXPECT_EQ(store.clock_set().forward, 1);
}

}  // namespace
}  // namespace holdfast::store
