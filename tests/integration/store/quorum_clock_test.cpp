// A quorum one of whose nodes has its clock set.

#include "quorum_fixture.hpp"
#include "support/redis_clock.hpp"
#include "wild_link.hpp"

#include <gmock/gmock.h>

#include <deque>

namespace holdfast::store {
namespace {

using core::FencingToken;
using core::Granted;
using testing::HasSubstr;
using State = QuorumNodes::State;

class QuorumClock : public QuorumTest {
protected:
    QuorumClock() : QuorumTest(0) {
        for (std::size_t node = 0; node < 3; ++node) {
            redis_.push_back(std::make_unique<test::RedisProcess>(std::vector<std::string>{},
                                                                  clocks_[node].environment()));
            ports_.push_back(redis_.back()->port());
        }
    }
    bool grants(QuorumSide& side, const std::string& lock, char holder) {
        const auto answer = side.acquire(lock, side.want(holder));
        return answer && std::holds_alternative<Granted>(*answer);
    }
    // One holds a lock by nodes 0 and 1 alone, whose clock is set forward: does the other get it? The one
    // does not look at clocks, so that the other has to notice it itself.
    bool granted_twice(const std::string& lock, QuorumSide& other) {
        std::deque<WildLink> links;
        const auto one = ready_side({.clock_guard = core::Duration::max(),
                                     .between = [&](std::size_t node, redis::Client& pool) {
                                         return &links.emplace_back(
                                             stage_, pool, WildLink::Odds{}, unsigned(node));
                                     }});
        links[2].go_wild({.refuse = 100});
        one->grant(lock, 'x');
        clocks_[1].set(60s);
        return grants(other, lock, 'y');
    }

    std::deque<test::RedisClock> clocks_{3};
};

TEST_F(QuorumClock, WhatIsFreeTooEarlyIsNotGranted) {
    const auto other = ready_side({.station = "station2"});
    EXPECT_FALSE(granted_twice("a", *other));
    EXPECT_EQ(other->nodes().clock_set().forward, 1U);
}

// That the test above can fail.
TEST_F(QuorumClock, WhoDoesNotMindIsGrantedIt) {
    const auto other = ready_side({.station = "station2", .clock_guard = core::Duration::max()});
    EXPECT_TRUE(granted_twice("a", *other));
}

TEST_F(QuorumClock, ANodeThatWasSetForwardGrantsNothingForAsLongAsALeaseMayLast) {
    const auto one = ready_side({.max_ttl = {3s}});
    const FencingToken token = one->grant("a", 'x', 3s);
    const auto set_at = stage_.clock.now();
    clocks_[1].set(60s);
    EXPECT_TRUE(one->ready(2));
    EXPECT_THAT(one->nodes().status(1).why, HasSubstr("set forward"));
    EXPECT_TRUE(one->renewed("a", 'x', token)) << "the others have it";
    // One that knows nothing of it is told by the node itself.
    const auto late = side({.max_ttl = {3s}, .station = "station2"});
    EXPECT_TRUE(stage_.run_until([&] {
        return late->nodes().taking_part() == 2 && late->nodes().status(1).state == State::waiting;
    }));
    EXPECT_TRUE(grants(*late, "b", 'y')) << "by the others";
    EXPECT_TRUE(late->ready(3));
    EXPECT_GE(stage_.clock.now() - set_at, 3s);
}

TEST_F(QuorumClock, LeasesThatHaveNotEndedAreRenewedWhereverTheClockWasSet) {
    const auto one = ready_side();
    const FencingToken token = one->grant("a", 'x');
    for (test::RedisClock& clock : clocks_) {
        clock.set(2s);
    }
    EXPECT_TRUE(one->ready(0));
    EXPECT_TRUE(one->renewed("a", 'x', token));
    EXPECT_FALSE(grants(*one, "b", 'y'));
}

TEST_F(QuorumClock, SettingItBackDoesNotLengthenTheWait) {
    const auto one = ready_side({.max_ttl = {200ms}});
    clocks_[1].set(1h);
    EXPECT_TRUE(one->ready(2));
    clocks_[1].set(-1h);
    redis_[2]->run({"FLUSHALL"});
    clocks_[2].set(1h);
    EXPECT_TRUE(stage_.run_until([&] {
        bool looked = false;
        one->nodes().look(1s, [&] { looked = true; });
        stage_.run_until([&] { return looked; });
        return redis_[2]->run({"EXISTS", one->nodes().key()}) == "1";
    }));
    clocks_[2].set(-1h);
    EXPECT_TRUE(one->ready(3));
}

}  // namespace
}  // namespace holdfast::store
