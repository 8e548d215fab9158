// What a minority of nodes that stand still or are slow may cost: nothing that anybody waits for. Two daemons
// split the votes of the others on purpose, as that is where each of them looks at the one node more.

#include "quorum_fixture.hpp"
#include "store/lua_scripts.hpp"
#include "wild_link.hpp"

#include <algorithm>
#include <deque>

namespace holdfast::store {
namespace {

using core::Granted;
using core::Released;

// So slow is a node's link where that is what is wrong with it.
constexpr auto kSlow = 700ms;
// Less than that, and than the timeout of a command, which is 1 s; much more than what is needed.
constexpr auto kSoon = 400ms;

class QuorumSlow : public QuorumTest {
protected:
    struct Daemon {
        std::vector<std::unique_ptr<WildLink>> links;  // one to each node
        std::unique_ptr<QuorumSide> side;
    };
    Daemon& daemon() {
        Daemon& made = daemons_.emplace_back();
        QuorumSetup setup;
        setup.station = "station" + std::to_string(daemons_.size());
        setup.between = [&](std::size_t, redis::Client& pool) {
            made.links.push_back(
                std::make_unique<WildLink>(stage_, pool, WildLink::Odds{}, unsigned{1}));
            return made.links.back().get();
        };
        made.side = ready_side(setup);
        // So that the nodes have the scripts, and the store knows how long they take.
        for (int i = 0; i < 5; ++i) {
            const std::string warm = setup.station + std::to_string(i);
            made.side->release(warm, 'w', made.side->grant(warm, 'w'));
        }
        return made;
    }
    void make_slow(std::size_t node) {
        for (Daemon& one : daemons_) {
            one.links[node]->go_wild({.delay = 100, .least = kSlow, .most = kSlow});
        }
    }
    std::string owner_at(std::size_t node, const std::string& lock) {
        return redis_[node]->run({"HGET", "hf:" + lock, "w"}).substr(0, 32);
    }

    // Both daemons want a lock. The first one's TRY comes to node `a` first, the second one's to node `b`.
    // How long it takes from then on until one of them has it.
    core::Duration split(const std::string& lock, std::size_t a, std::size_t b) {
        daemons_[0].links[b]->hold(kLua_quorum_try);
        daemons_[1].links[a]->hold(kLua_quorum_try);
        wanted_until_ = stage_.clock.now() + 5s;
        want(0, lock);
        want(1, lock);
        EXPECT_TRUE(stage_.run_until([&] {
            return owner_at(a, lock).size() == 32 && owner_at(b, lock).size() == 32 &&
                   daemons_[0].links[b]->held() == 1 && daemons_[1].links[a]->held() == 1;
        }));
        const core::Instant began = stage_.clock.now();
        daemons_[0].links[b]->let_go();
        daemons_[1].links[a]->let_go();
        stage_.run_until([&] { return has_it_ || wanting_ == 0; });
        const core::Duration took = stage_.clock.now() - began;
        EXPECT_TRUE(stage_.run_until([&] { return wanting_ == 0; }));
        if (!has_it_) {
            return core::Duration::max();
        }
        const auto [who, token] = *std::exchange(has_it_, {});
        EXPECT_TRUE(daemons_[who].side->release(lock, letter(who), token));
        return took;
    }
    // Most of ten times: the machine may stand still once or twice.
    void expect_quick(std::size_t a, std::size_t b) {
        std::vector<core::Duration> times;
        for (int i = 0; i < 10; ++i) {
            times.push_back(split("a" + std::to_string(i), a, b));
        }
        std::sort(times.begin(), times.end());
        EXPECT_LT(times[7], kSoon);
        EXPECT_LT(times.back(), core::Duration::max()) << "nobody got it";
    }
    static char letter(std::size_t who) { return who == 0 ? 'a' : 'b'; }
    // Until anybody has it.
    void want(std::size_t who, const std::string& lock) {
        QuorumSide& side = *daemons_[who].side;
        ++wanting_;
        side.store->acquire({QuorumSide::lock(lock), side.want(letter(who)), 1s},
                            [this, who, lock](core::StoreResult<core::AcquireAnswer> answer) {
                                --wanting_;
                                const auto* granted =
                                    answer ? std::get_if<Granted>(&*answer) : nullptr;
                                if (granted != nullptr) {
                                    EXPECT_FALSE(has_it_);
                                    has_it_ = {who, granted->token};
                                } else if (!has_it_ && stage_.clock.now() < wanted_until_) {
                                    want(who, lock);
                                }
                            });
    }

    std::deque<Daemon> daemons_;
    std::optional<std::pair<std::size_t, core::FencingToken>> has_it_;
    int wanting_ = 0;
    core::Instant wanted_until_{};
};

TEST_F(QuorumSlow, ASplitVoteDoesNotWaitForANodeThatStandsStill) {
    daemon();
    daemon();
    redis_[2]->process().stop();
    expect_quick(0, 1);
    redis_[2]->process().resume();
}

TEST_F(QuorumSlow, ASplitVoteDoesNotWaitForASlowNode) {
    daemon();
    daemon();
    make_slow(2);
    expect_quick(0, 1);
}

// The first node in the list is where those who have split the votes meet.
TEST_F(QuorumSlow, ContendersMeetElsewhereThanAtASlowNode) {
    daemon();
    daemon();
    make_slow(0);
    expect_quick(1, 2);
}

TEST_F(QuorumSlow, ContendersDoNotWaitForTheFirstNodeWhenThatStandsStill) {
    daemon();
    daemon();
    redis_[0]->process().stop();
    expect_quick(1, 2);
    redis_[0]->process().resume();
}

TEST_F(QuorumSlow, ALeaseThatOnlyTheFirstNodeHasIsInNobodysWay) {
    QuorumSide& one = *daemon().side;
    Daemon& other = daemon();
    one.grant("a", 'o');
    redis_[1]->run({"DEL", "hf:a"});
    redis_[2]->run({"DEL", "hf:a"});
    // Another comes to node 2 only, so that the votes are split once.
    other.links[0]->hold(kLua_quorum_try);
    other.links[1]->hold(kLua_quorum_try);
    want(1, "a");
    EXPECT_TRUE(stage_.run_until([&] { return owner_at(2, "a").size() == 32; }));
    std::optional<core::StoreResult<core::AcquireAnswer>> answer;
    one.store->acquire({QuorumSide::lock("a"), one.want('x'), 1s},
                       [&](auto got) { answer = std::move(got); });
    EXPECT_TRUE(stage_.run_until([&] { return one.store->counters().contested > 0; }));
    EXPECT_FALSE(answer);
    redis_[2]->run({"DEL", "hf:a"});
    EXPECT_TRUE(stage_.run_until([&] { return answer.has_value(); }));
    EXPECT_TRUE(*answer && std::holds_alternative<Granted>(**answer));
    other.links[0]->let_go();
    other.links[1]->let_go();
    EXPECT_TRUE(stage_.run_until([&] { return wanting_ == 0; }));
}

TEST_F(QuorumSlow, ThatALockIsFreeIsKnownWithoutTheNodeThatStandsStill) {
    QuorumSide& one = *daemon().side;
    redis_[2]->process().stop();
    one.release("freed", 'x', one.grant("freed", 'x'));
    for (const std::string lock : {"never", "freed"}) {
        const auto began = stage_.clock.now();
        const auto state = one.inspect(lock);
        EXPECT_LT(stage_.clock.now() - began, kSoon);
        ASSERT_TRUE(state) << state.error().message;
        EXPECT_TRUE(!*state || (*state)->holders.empty());
    }
}

TEST_F(QuorumSlow, AListBeginsWithANodeThatAnswers) {
    QuorumSide& one = *daemon().side;
    redis_[0]->process().stop();
    one.release("freed", 'x', one.grant("freed", 'x'));
    one.grant("held", 'x');
    EXPECT_TRUE(stage_.run_until([&] { return one.nodes().first_to_ask() != 0; }));
    const auto began = stage_.clock.now();
    const auto page = one.call<core::LockPage>(
        [&](auto done) { one.store->list("", "", 100, 1s, std::move(done)); });
    EXPECT_LT(stage_.clock.now() - began, kSoon);
    ASSERT_TRUE(page) << page.error().message;
    ASSERT_EQ(page->locks.size(), 1U);
    EXPECT_EQ(page->locks[0].name.text(), "held");
}

TEST_F(QuorumSlow, WhoComesNextHearsOfItThoughTheReleaseIsNotSure) {
    Daemon& made = daemon();
    QuorumSide& one = *made.side;
    made.links[1]->go_wild({.refuse = 100});
    const core::FencingToken token = one.grant("a", 'x');
    made.links[1]->calm();
    redis_[2]->process().stop();
    const auto began = stage_.clock.now();
    const auto answer = one.release("a", 'x', token, one.want('y'));
    EXPECT_LT(stage_.clock.now() - began, kSoon);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->handed && *answer->handed);
    EXPECT_GT(std::get<Granted>(**answer->handed).token, token);
    // As far as is known: core, which knows that its time was not over, says more.
    EXPECT_EQ(std::get<Released>(answer->ended).verdict, core::Verdict::already_expired);
    redis_[2]->process().resume();
}

}  // namespace
}  // namespace holdfast::store
