// What the proof in quorum_lock_store.hpp rests on, one rule at a time: messages in an order that does no
// harm under the rule, and gives a token or a lock twice where it is broken.

#include "quorum_fixture.hpp"
#include "store/lua_scripts.hpp"
#include "wild_link.hpp"

#include <algorithm>
#include <deque>

namespace holdfast::store {
namespace {

using core::FencingToken;
using core::Granted;

constexpr WildLink::Odds kCut{.refuse = 100};
constexpr WildLink::Odds kAllLost{.lose_request = 100};

struct Daemon {
    std::vector<std::unique_ptr<WildLink>> links;  // one to each node
    std::unique_ptr<QuorumSide> side;
};

class QuorumRules : public QuorumTest {
protected:
    Daemon& daemon(QuorumSetup setup, const std::optional<Tampering>& fault = {}) {
        Daemon& made = daemons_.emplace_back();
        setup.station = "station" + std::to_string(daemons_.size());
        setup.between = [&](std::size_t, redis::Client& pool) {
            made.links.push_back(
                std::make_unique<WildLink>(stage_, pool, WildLink::Odds{}, unsigned{1}));
            if (fault) {
                made.links.back()->tamper(*fault);
            }
            return made.links.back().get();
        };
        made.side = ready_side(setup);
        return made;
    }
    // No proposal of it is accepted, so that each of its tokens is the highest fence told, and one.
    static QuorumSetup without_proposals() {
        QuorumSetup setup;
        setup.wall_clock = [] { return std::int64_t{8'000'000'000'000'000}; };
        return setup;
    }
    FencingToken grant_and_release(Daemon& daemon, const std::string& lock, char holder) {
        const FencingToken token = daemon.side->grant(lock, holder);
        EXPECT_TRUE(daemon.side->release(lock, holder, token));
        return token;
    }

    // Two daemons, one after the other.
    bool tokens_of_commits_go_up(const std::string& lock,
                                 const std::optional<Tampering>& fault = {}) {
        Daemon& one = daemon(without_proposals(), fault);
        Daemon& other = daemon(without_proposals(), fault);
        const FencingToken first = grant_and_release(one, lock, 'x');
        return grant_and_release(other, lock, 'y') > first;
    }

    // An attempt's COMMITs are on their way for longer than its lease lasts, another is granted the lock.
    // The first one's clock stands still, so that it does not see that it has come too late.
    bool a_late_commit_is_no_grant(const std::string& lock,
                                   const std::optional<Tampering>& fault = {}) {
        QuorumSetup setup = without_proposals();
        setup.clock = &stopped_;
        setup.clock_guard = core::Duration::max();
        Daemon& slow = daemon(setup, fault);
        Daemon& other = daemon(without_proposals(), fault);
        for (const auto& link : slow.links) {
            link->hold(kLua_quorum_commit);
        }
        std::optional<core::StoreResult<core::AcquireAnswer>> told;
        slow.side->store->acquire({QuorumSide::lock(lock), slow.side->want('x', 20ms), 100ms},
                                  [&](auto answer) { told = std::move(answer); });
        EXPECT_TRUE(stage_.run_until([&] {
            return std::all_of(slow.links.begin(), slow.links.end(), [](const auto& link) {
                return link->held() == 1;
            });
        }));
        EXPECT_TRUE(stage_.run_until([&] {
            const auto answer = other.side->acquire(lock, 'y');
            return answer && std::holds_alternative<Granted>(*answer);
        }));
        for (const auto& link : slow.links) {
            link->let_go();
        }
        EXPECT_TRUE(stage_.run_until([&] {
            stage_.timers.fire(core::Instant::max());  // its clock never gets there
            return told.has_value();
        }));
        return !(told && *told && std::holds_alternative<Granted>(**told));
    }

    // The UNDOs of an attempt that failed are still on their way when the next one is granted.
    bool a_late_undo_frees_nothing(const std::string& lock, core::HolderIdSource* nonces) {
        QuorumSetup setup;
        setup.ids = nonces;
        Daemon& one = daemon(setup);
        for (const std::size_t node : {0, 1}) {
            one.links[node]->hold(kLua_quorum_undo);
            one.links[node]->go_wild(kAllLost);
        }
        EXPECT_FALSE(one.side->acquire(lock, 'x'));
        EXPECT_TRUE(stage_.run_until([&] { return one.side->store->undos_pending() == 2; }));
        for (const std::size_t node : {0, 1}) {
            EXPECT_EQ(one.links[node]->held(), 1U);
            one.links[node]->calm();
        }
        one.side->grant(lock, 'x');
        one.links[0]->let_go();
        one.links[1]->let_go();
        EXPECT_TRUE(stage_.run_until([&] { return one.side->store->undos_pending() == 0; }));
        const auto answer = daemon({}).side->acquire(lock, 'y');
        return answer && std::holds_alternative<core::Busy>(*answer);
    }

    // Grants by nodes 0 and 1; node 0 loses its memory and comes back; a grant by nodes 0 and 2.
    bool tokens_go_up_after_a_loss(const std::string& lock,
                                   const std::optional<Tampering>& fault = {}) {
        QuorumSetup setup = without_proposals();
        setup.max_ttl = {150ms};
        Daemon& one = daemon(setup, fault);
        one.links[2]->go_wild(kCut);
        FencingToken first;
        for (const char holder : {'x', 'y', 'z'}) {
            first = one.side->grant(lock, holder, 100ms);
            EXPECT_TRUE(one.side->release(lock, holder, first));
        }
        one.links[2]->calm();
        redis_[0]->run({"FLUSHALL"});
        QuorumNodes& nodes = one.side->nodes();
        EXPECT_TRUE(stage_.run_until([&] {
            bool looked = false;
            nodes.look(1s, [&] { looked = true; });
            stage_.run_until([&] { return looked; });
            return redis_[0]->run({"HGET", nodes.key(), "y"}) == "1";
        })) << "it does not take part again";
        Daemon& other = daemon(setup, fault);
        other.links[1]->go_wild(kCut);
        return other.side->grant(lock, 'a', 100ms) > first;
    }

    StoppedClock stopped_;
    std::deque<Daemon> daemons_;
};

TEST_F(QuorumRules, ACommitWritesItsToken) {
    EXPECT_TRUE(tokens_of_commits_go_up("right"));
    EXPECT_FALSE(tokens_of_commits_go_up(
        "broken",
        Tampering{kLua_quorum_commit,
                  {{"set_fence(lock, node, token)\nlock.token = token", "local _ = 0"}}}));
}

TEST_F(QuorumRules, OnlyTheOwnerCommits) {
    EXPECT_TRUE(a_late_commit_is_no_grant("right"));
    EXPECT_FALSE(a_late_commit_is_no_grant(
        "broken",
        Tampering{kLua_quorum_commit,
                  {{"not lives(lock, now) or lock.nonce ~= ARGV[2] or token <= fence_of(lock, node)"
                    "\n    or ",
                    ""},
                   {"set_fence(lock, node, token)",
                    "set_fence(lock, node, math.max(token, lock.fence))"}}}));
}

TEST_F(QuorumRules, EachAttemptHasANonceOfItsOwn) {
    EXPECT_TRUE(a_late_undo_frees_nothing("right", nullptr));
    OneId same{'A'};
    EXPECT_FALSE(a_late_undo_frees_nothing("broken", &same));
}

TEST_F(QuorumRules, ANodeThatLostItsMemoryLearnsTheOthersFences) {
    EXPECT_TRUE(tokens_go_up_after_a_loss("right"));
    EXPECT_FALSE(tokens_go_up_after_a_loss(
        "broken",
        Tampering{kLua_quorum_node,
                  {{"math.max(highest, tonumber(ARGV[7]), ARGV[8] == '1' and now + AHEAD_US or 0)",
                    "highest"}}}));
}

}  // namespace
}  // namespace holdfast::store
