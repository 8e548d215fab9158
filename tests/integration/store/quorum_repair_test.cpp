// A quorum's lease is kept at all nodes, and what is over is taken away from all: else the next node that
// fails costs the lease, or the lock.

#include "quorum_fixture.hpp"
#include "store/lua_scripts.hpp"
#include "wild_link.hpp"

#include <deque>

namespace holdfast::store {
namespace {

using core::Busy;
using core::FencingToken;
using core::Granted;
using State = QuorumNodes::State;

constexpr WildLink::Odds kCut{.refuse = 100};

struct Side {
    std::deque<WildLink> links;  // one to each node
    std::unique_ptr<QuorumSide> side;
};

class QuorumRepair : public QuorumTest {
protected:
    Side& new_side(QuorumSetup setup = {}) {
        Side& made = sides_.emplace_back();
        setup.station = "station" + std::to_string(sides_.size());
        setup.between = [&](std::size_t, redis::Client& pool) {
            return &made.links.emplace_back(stage_, pool, WildLink::Odds{}, unsigned{1});
        };
        made.side = ready_side(setup);
        return made;
    }
    std::string field(std::size_t node, const std::string& lock, const std::string& name) {
        return redis_[node]->run({"HGET", "hf:" + lock, name});
    }
    bool is_at(std::size_t node, const std::string& lock, FencingToken token) {
        return field(node, lock, "k").find(std::to_string(token.value)) != std::string::npos &&
               !field(node, lock, "w").empty();
    }
    // By renewals alone.
    bool comes_to(std::size_t node, const std::string& lock, FencingToken token, Side& holder) {
        return stage_.run_until([&] {
            EXPECT_TRUE(holder.side->renewed(lock, 'x', token));
            return is_at(node, lock, token);
        });
    }
    void look_until(Side& one, const std::function<bool()>& condition) {
        EXPECT_TRUE(stage_.run_until([&] {
            bool looked = false;
            one.side->nodes().look(1s, [&] { looked = true; });
            stage_.run_until([&] { return looked; });
            return condition();
        }));
    }
    void expect_busy(Side& asks, const std::string& lock) {
        const auto answer = asks.side->acquire(lock, 'y');
        EXPECT_TRUE(answer && std::holds_alternative<Busy>(*answer));
        EXPECT_TRUE(stage_.run_until([&] { return asks.side->store->undos_pending() == 0; }));
    }

    std::deque<Side> sides_;
};

TEST_F(QuorumRepair, WhoAsksForAHeldLockLeavesANodeThatLacksItToTheLease) {
    Side& holder = new_side();
    Side& other = new_side();
    holder.links[2].go_wild(kCut);
    const FencingToken token = holder.side->grant("a", 'x');
    expect_busy(other, "a");
    holder.links[2].calm();
    EXPECT_TRUE(comes_to(2, "a", token, holder));
    redis_[0]->process().kill_and_wait();
    EXPECT_TRUE(holder.side->renewed("a", 'x', token));
}

TEST_F(QuorumRepair, AnEmptyNodeGetsTheLeaseThoughOthersAskedThereFirst) {
    Side& holder = new_side({.max_ttl = {300ms}});
    Side& other = new_side({.max_ttl = {300ms}});
    const FencingToken token = holder.side->grant("a", 'x');
    redis_[0]->run({"FLUSHALL"});
    for (Side* one : {&holder, &other}) {
        look_until(*one, [&] {
            return redis_[0]->run({"HGET", one->side->nodes().key(), "y"}) == "1";
        });
        EXPECT_TRUE(one->side->ready(3));
    }
    expect_busy(other, "a");
    EXPECT_TRUE(comes_to(0, "a", token, holder));
    redis_[1]->process().kill_and_wait();
    EXPECT_TRUE(holder.side->renewed("a", 'x', token));
}

TEST_F(QuorumRepair, ARetryThatCameToANodeFirstLeavesItToTheLease) {
    Side& holder = new_side();
    Side& other = new_side();
    holder.links[2].hold(kLua_quorum_try);
    const FencingToken token = holder.side->grant("a", 'x');
    const auto retry = other.side->acquire("a", other.side->want('x', 10s, 'b'));
    EXPECT_EQ(std::get<Granted>(*retry).token, token);
    holder.links[2].go_wild(kCut);
    holder.links[2].let_go();
    EXPECT_TRUE(
        stage_.run_until([&] { return !is_at(2, "a", token) && field(2, "a", "w").empty(); }));
    holder.links[2].calm();
    EXPECT_TRUE(comes_to(2, "a", token, holder));
    redis_[0]->process().kill_and_wait();
    EXPECT_TRUE(holder.side->renewed("a", 'x', token));
}

TEST_F(QuorumRepair, AReleaseThatANodeMissedIsRepeatedThere) {
    Side& holder = new_side();
    const FencingToken token = holder.side->grant("a", 'x');
    EXPECT_TRUE(stage_.run_until([&] { return is_at(2, "a", token); }));
    holder.links[2].go_wild(kCut);
    EXPECT_TRUE(holder.side->release("a", 'x', token));
    EXPECT_TRUE(is_at(2, "a", token));
    holder.links[2].calm();
    EXPECT_TRUE(stage_.run_until([&] { return field(2, "a", "w").empty(); }));
    redis_[0]->process().kill_and_wait();
    EXPECT_TRUE(stage_.run_until(
        [&] { return std::holds_alternative<Granted>(*holder.side->acquire("a", 'y')); }));
}

TEST_F(QuorumRepair, WhatPilesUpForASilentNodeIsNotLeftAtTheOthers) {
    constexpr int kMany = 4200;  // more than is kept for a node
    Side& holder = new_side({.max_ttl = {60s}});
    Side& other = new_side({.max_ttl = {60s}});
    holder.side->grant("held", 'x', 60s);
    holder.links[2].go_wild(kCut);
    holder.side->grant("half", 'x', 60s);
    EXPECT_TRUE(stage_.run_until([&] { return !field(0, "half", "w").empty(); }));
    other.links[0].go_wild({.lose_request = 100});
    for (int i = 0; i < kMany; ++i) {
        const auto answer = other.side->acquire("held", 'y');
        ASSERT_TRUE(answer && std::holds_alternative<Busy>(*answer));
    }
    EXPECT_LT(other.side->store->undos_pending(), std::size_t{kMany});
    // Node 0 says nothing, node 1 has it, node 2 does not.
    EXPECT_FALSE(std::holds_alternative<Granted>(
        other.side->acquire("half", 'y').value_or(core::AcquireAnswer{Busy{}})));
    EXPECT_TRUE(stage_.run_until([&] { return field(2, "half", "w").empty(); }));
}

TEST_F(QuorumRepair, ARevocationReachesANodeThatLackedTheLease) {
    Side& holder = new_side();
    Side& other = new_side();
    holder.links[2].go_wild(kCut);
    const FencingToken token = holder.side->grant("a", 'x');
    other.links[1].go_wild(kCut);
    EXPECT_TRUE(other.side->call<std::vector<core::HolderState>>([&](auto done) {
        other.side->store->revoke(
            {QuorumSide::lock("a"), {}, core::Revocation::lost, 300ms, "why"}, 1s, std::move(done));
    }));
    holder.links[2].calm();
    EXPECT_TRUE(stage_.run_until([&] {
        const auto renewed = holder.side->renew("a", 'x', token);
        return renewed && renewed->revoked;
    })) << "it is renewed for ever";
}

TEST_F(QuorumRepair, ANodeWhoseRecordsWereDeletedWaitsLikeAnEmptyOne) {
    constexpr auto kMaxTtl = 1s;
    Side& one = new_side({.max_ttl = {kMaxTtl}});
    EXPECT_TRUE(
        stage_.run_until([&] {  // for long enough that it could not have held any lease before
            return redis_[0]->run({"INFO", "server"}).find("uptime_in_seconds:2") !=
                   std::string::npos;
        }));
    const std::string key = one.side->nodes().key();
    const auto deleted_at = stage_.clock.now();
    redis_[0]->run({"DEL", key});
    look_until(one, [&] { return redis_[0]->run({"HGET", key, "y"}) == "1"; });
    EXPECT_GE(stage_.clock.now() - deleted_at, kMaxTtl);
}

}  // namespace
}  // namespace holdfast::store
