// QuorumLockStore over real Redis processes: what one daemon, or a few, get of it while nodes come and go.

#include "quorum_fixture.hpp"

#include <gmock/gmock.h>

namespace holdfast::store {
namespace {

using core::Busy;
using core::Closed;
using core::FencingToken;
using core::Granted;
using core::NotHeld;
using core::Released;
using core::StoreFailure;
using core::Verdict;
using testing::HasSubstr;
using State = QuorumNodes::State;

Verdict verdict_of(const core::StoreResult<core::ReleaseAnswer>& answer) {
    return std::get<Released>(answer->ended).verdict;
}

TEST_F(QuorumTest, GrantsInOneRoundTripAndTellsTheSecondWhoHasIt) {
    const auto one = ready_side();
    const FencingToken token = one->grant("a", 'x');
    EXPECT_GT(token.value, 1'700'000'000'000'000U);
    EXPECT_EQ(one->store->counters().fast, 1U);
    const auto second = one->acquire("a", 'y');
    const Busy& busy = std::get<Busy>(*second);
    EXPECT_EQ(busy.holder.owner, "owner");
    EXPECT_EQ(busy.holder.token, token);
    EXPECT_GT(busy.holder.expires_in, 10s);
    EXPECT_TRUE(stage_.run_until([&] { return one->renewed("a", 'x', token); }));
    EXPECT_EQ(verdict_of(one->release("a", 'x', token)), Verdict::held_throughout);
    EXPECT_EQ(verdict_of(one->release("a", 'x', token)), Verdict::held_throughout) << "a retry";
    EXPECT_GT(one->grant("a", 'y'), token);
    EXPECT_EQ(verdict_of(one->release("a", 'x', token)), Verdict::held_throughout)
        << "and after it";
    EXPECT_TRUE(std::holds_alternative<Closed>(*one->acquire("a", 'x'))) << "its id is closed";
}

TEST_F(QuorumTest, ADaemonWhoseClockIsBehindTakesTwoRoundTripsAndAHigherToken) {
    const auto one = ready_side();
    const FencingToken first = one->grant("a", 'x');
    one->release("a", 'x', first);
    const auto two = ready_side({.station = "station2", .wall_clock = [] { return 1'000'000; }});
    const FencingToken second = two->grant("a", 'y');
    EXPECT_EQ(second.value, first.value + 1);
    EXPECT_EQ(two->store->counters().slow, 1U);
    EXPECT_TRUE(two->renewed("a", 'y', second)) << "written back to a quorum";
}

TEST_F(QuorumTest, ADaemonWhoseClockIsAheadDragsNobodyAlong) {
    const auto one = ready_side({.wall_clock = [] { return std::int64_t{8'000'000'000'000'000}; }});
    EXPECT_LT(one->grant("a", 'x').value, 1'000U) << "not accepted, so one more than there was";
    EXPECT_EQ(one->store->counters().slow, 1U);
}

TEST_F(QuorumTest, ARetryAtAnotherDaemonGetsTheSameToken) {
    const auto one = ready_side();
    const auto two = ready_side({.station = "station2"});
    const FencingToken token = one->grant("a", 'x');
    const auto again = two->acquire("a", two->want('x', 10s, 'b'));
    EXPECT_EQ(std::get<Granted>(*again).token, token);
    EXPECT_TRUE(one->renewed("a", 'x', token));
    auto only = two->want('z');
    only.only_again = true;
    EXPECT_TRUE(std::holds_alternative<NotHeld>(*two->acquire("a", only)));
    only = two->want('x', 10s, 'c');
    only.only_again = true;
    EXPECT_EQ(std::get<Granted>(*two->acquire("a", only)).token, token);
    // A call is cancelled: the lease stands, as others have claimed it.
    EXPECT_TRUE(two->call<std::monostate>([&](auto done) {
        two->store->cancel(
            QuorumSide::lock("a"), QuorumSide::id('x'), QuorumSide::id('c'), 1s, std::move(done));
    }));
    EXPECT_TRUE(one->renewed("a", 'x', token));
}

TEST_F(QuorumTest, ACancelledCallLeavesNothing) {
    const auto one = ready_side();
    one->grant("a", 'x');
    EXPECT_TRUE(one->call<std::monostate>([&](auto done) {
        one->store->cancel(
            QuorumSide::lock("a"), QuorumSide::id('x'), QuorumSide::id('x'), 1s, std::move(done));
    }));
    one->grant("a", 'y');
    EXPECT_TRUE(std::holds_alternative<Closed>(*one->acquire("a", 'x')));
}

TEST_F(QuorumTest, OneNodeDownOrPausedChangesNothing) {
    const auto one = ready_side();
    const FencingToken kept = one->grant("kept", 'k');
    redis_[0]->process().stop();
    const auto began = stage_.clock.now();
    const FencingToken token = one->grant("a", 'x');
    EXPECT_TRUE(one->renewed("a", 'x', token));
    EXPECT_TRUE(one->renewed("kept", 'k', kept));
    EXPECT_EQ(std::get<Busy>(*one->acquire("a", 'y')).holder.token, token);
    EXPECT_EQ((*one->inspect("a"))->holders.at(0).summary.token, token);
    EXPECT_EQ(verdict_of(one->release("a", 'x', token)), Verdict::held_throughout);
    EXPECT_LT(stage_.clock.now() - began, 900ms) << "it waited for the one that stands still";
    redis_[0]->process().resume();
    redis_[1]->process().kill_and_wait();
    EXPECT_TRUE(one->renewed("kept", 'k', kept)) << "the other two have it";
    EXPECT_EQ(std::get<Busy>(*one->acquire("kept", 'y')).holder.token, kept);
    EXPECT_EQ(verdict_of(one->release("kept", 'k', kept)), Verdict::held_throughout);
    EXPECT_TRUE(
        stage_.run_until([&] { return std::holds_alternative<Granted>(*one->acquire("a", 'z')); }));
}

TEST_F(QuorumTest, AMajorityDownGrantsNothingAndLeavesNothing) {
    const auto one = ready_side();
    redis_[0]->process().stop();
    redis_[1]->process().stop();
    const auto answer = one->acquire("a", one->want('x'), 200ms);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().failure, StoreFailure::unknown);
    EXPECT_THAT(answer.error().message, HasSubstr("2 are needed"));
    redis_[0]->process().resume();
    redis_[1]->process().resume();
    EXPECT_TRUE(stage_.run_until([&] { return one->store->undos_pending() == 0; }));
    const auto two = ready_side({.station = "station2"});
    two->grant("a", 'y');
}

TEST_F(QuorumTest, ALeaseIsPutAtANodeThatWasAwayAndOutlivesAnother) {
    const auto one = ready_side();
    redis_[0]->process().stop();
    auto want = one->want('x');
    want.lock_delay = 3s;
    const FencingToken token = std::get<Granted>(*one->acquire("a", want)).token;
    redis_[0]->process().resume();
    // Where the TRY has come late, it is there; after a cut, a renewal puts it there.
    const auto at_first = [&] { return redis_[0]->run({"HGET", "hf:a", "k"}); };
    redis_[0]->run({"DEL", "hf:a"});
    EXPECT_TRUE(stage_.run_until([&] {
        EXPECT_TRUE(one->renewed("a", 'x', token));
        return at_first().find(std::to_string(token.value)) != std::string::npos;
    }));
    EXPECT_EQ(redis_[0]->run({"HGET", "hf:a", "o"}), "0005ownermeta");
    redis_[1]->process().kill_and_wait();
    EXPECT_TRUE(one->renewed("a", 'x', token));
}

TEST_F(QuorumTest, SharedLocksPermitsAndConversionsAreRefused) {
    const auto one = ready_side();
    for (const core::Mode mode : {core::Mode::shared, core::Mode::permit}) {
        auto want = one->want('x');
        want.access.mode = mode;
        const auto answer = one->acquire("a", want);
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().failure, StoreFailure::mode_conflict);
        EXPECT_THAT(answer.error().message, HasSubstr("exclusive locks only"));
    }
    const FencingToken token = one->grant("a", 'x');
    const auto converted = one->call<core::RenewAnswer>([&](auto done) {
        one->store->downgrade(QuorumSide::lease("a", 'x', token), {10s}, 1s, std::move(done));
    });
    ASSERT_FALSE(converted);
    EXPECT_EQ(converted.error().failure, StoreFailure::mode_conflict);
}

TEST_F(QuorumTest, LockDelayCountsAfterExpiryOnly) {
    const auto one = ready_side();
    auto want = one->want('x', 100ms);
    want.lock_delay = 1500ms;
    const auto began = stage_.clock.now();
    ASSERT_TRUE(std::holds_alternative<Granted>(*one->acquire("a", want)));
    EXPECT_TRUE(
        stage_.run_until([&] { return std::holds_alternative<Granted>(*one->acquire("a", 'y')); }));
    EXPECT_GE(stage_.clock.now() - began, 1600ms);
}

TEST_F(QuorumTest, RevocationsCloseRenewalsOrFreeTheLock) {
    const auto one = ready_side();
    const FencingToken token = one->grant("a", 'x', 500ms);
    const auto revoke = [&](core::Revocation how) {
        return one->call<std::vector<core::HolderState>>([&](auto done) {
            one->store->revoke({QuorumSide::lock("a"), {}, how, 0ms, "why"}, 1s, std::move(done));
        });
    };
    EXPECT_EQ(revoke(core::Revocation::lost)->at(0).summary.token, token);
    EXPECT_TRUE(stage_.run_until([&] {
        const auto renewed = one->renew("a", 'x', token);
        return renewed && renewed->revoked;
    }));
    EXPECT_TRUE(
        stage_.run_until([&] { return std::holds_alternative<Granted>(*one->acquire("a", 'y')); }));
    EXPECT_EQ(revoke(core::Revocation::at_once)->at(0).summary.owner, "owner");
    one->grant("a", 'z');
}

TEST_F(QuorumTest, AReleaseHandsTheLockOnInTheSameRoundTrip) {
    const auto one = ready_side();
    const FencingToken token = one->grant("a", 'x');
    const auto answer = one->release("a", 'x', token, one->want('y'));
    EXPECT_EQ(verdict_of(answer), Verdict::held_throughout);
    const FencingToken next = std::get<Granted>(**answer->handed).token;
    EXPECT_GT(next, token);
    EXPECT_TRUE(one->renewed("a", 'y', next));
}

TEST_F(QuorumTest, ListTellsOfEachHeldLockOnceWhicheverNodesHaveIt) {
    const auto one = ready_side();
    for (int i = 0; i < 30; ++i) {
        if (i % 10 == 0) {
            redis_[static_cast<std::size_t>(i / 10)]->process().stop();
        }
        one->grant("held" + std::to_string(i), 'x', 30s);
        if (i % 10 == 9) {
            redis_[static_cast<std::size_t>(i / 10)]->process().resume();
        }
    }
    one->grant("other", 'x');
    std::multiset<std::string> found;
    std::string from;
    do {
        const auto page = one->call<core::LockPage>(
            [&](auto done) { one->store->list("held", from, 7, 2s, std::move(done)); });
        ASSERT_TRUE(page) << page.error().message;
        for (const auto& lock : page->locks) {
            found.insert(lock.name.text());
        }
        from = page->next;
    } while (!from.empty());
    EXPECT_EQ(found.size(), 30U);
    EXPECT_EQ((std::set<std::string>{found.begin(), found.end()}.size()), 30U);
}

TEST_F(QuorumTest, AnEmptyNodeWaitsTakesTheOthersFencesAndThenTakesPart) {
    const QuorumSetup quick{.max_ttl = {1s}};
    const auto one = ready_side(quick);
    const FencingToken kept = one->grant("kept", 'k', 1s);
    const FencingToken freed = one->grant("freed", 'x', 1s);
    one->release("freed", 'x', freed);
    const auto emptied = stage_.clock.now();
    redis_[0]->restart_empty();
    EXPECT_TRUE(one->ready(2));
    bool alive = true;
    EXPECT_TRUE(stage_.run_until([&] {
        alive = alive && one->renewed("kept", 'k', kept);
        one->nodes().look(500ms, [] {});
        return one->nodes().taking_part() == 3;
    }));
    EXPECT_TRUE(alive) << "two nodes had it all the time";
    EXPECT_GE(stage_.clock.now() - emptied, 1s) << "by then every lease of before has ended";
    // Its fences are no lower than the others', though it has forgotten the lock.
    const auto floor = redis_[0]->run({"HGET", "holdfast:\x01quorum:hf:", "E"});
    EXPECT_GE(std::stoull(floor), freed.value);
    // The old lease is put there all the same, by the fence of its own, and outlives another node.
    const auto until_it_is_at = [&](std::size_t node) {
        return stage_.run_until([&] {
            EXPECT_TRUE(one->renewed("kept", 'k', kept));
            one->nodes().look(500ms, [] {});
            return redis_[node]->run({"HGET", "hf:kept", "k"}).find(std::to_string(kept.value)) !=
                   std::string::npos;
        });
    };
    EXPECT_TRUE(until_it_is_at(0));
    redis_[1]->restart_empty();
    EXPECT_TRUE(until_it_is_at(1));
    redis_[2]->process().kill_and_wait();
    EXPECT_TRUE(one->renewed("kept", 'k', kept));
}

TEST_F(QuorumTest, AFlushedNodeTakesNoPartFromTheNextCommandOn) {
    const auto one = ready_side();
    one->grant("a", 'x');
    redis_[0]->run({"FLUSHALL"});
    redis_[1]->run({"FLUSHALL"});
    const auto answer = one->acquire("a", 'y');
    ASSERT_TRUE(answer);
    const Busy& busy = std::get<Busy>(*answer);
    EXPECT_TRUE(busy.recovering || busy.holder.token.value > 0) << "two empty nodes granted it";
}

TEST_F(QuorumTest, OtherNodeListsAndTtlsAreRefused) {
    const auto one = ready_side();
    const auto other = side({.station = "station2", .names = {"node0", "node1", "node9"}});
    EXPECT_TRUE(stage_.run_until([&] { return other->nodes().foreign() == 3; }));
    EXPECT_THAT(other->nodes().status(0).why,
                HasSubstr("node0 node1 node2, 2 of 3, max_ttl 10000 ms"));
    const auto answer = other->acquire("a", 'x');
    EXPECT_FALSE(answer && std::holds_alternative<Granted>(*answer));
    const auto slower = side({.max_ttl = {20s}, .station = "station3"});
    EXPECT_TRUE(stage_.run_until([&] { return slower->nodes().foreign() == 3; }));
}

TEST_F(QuorumTest, NodesThatAreNotSaidToBeNewAreWaitedFor) {
    const auto began = stage_.clock.now();
    const auto one = side({.max_ttl = {1s}, .assume_new = false});
    EXPECT_TRUE(stage_.run_until([&] { return one->nodes().status(0).state == State::waiting; }));
    const auto answer = one->acquire("a", 'x');
    ASSERT_TRUE(answer);
    EXPECT_TRUE(std::get<Busy>(*answer).recovering);
    EXPECT_TRUE(one->ready(3));
    EXPECT_GE(stage_.clock.now() - began, 1s);
    one->grant("a", 'x');
}

TEST_F(QuorumTest, TwentyContendersAllGetTheirTurn) {
    std::vector<std::unique_ptr<QuorumSide>> sides;
    for (int i = 0; i < 20; ++i) {
        sides.push_back(
            ready_side({.station = "station" + std::string(1, static_cast<char>('a' + i))}));
    }
    struct Contender {
        std::unique_ptr<QuorumSide>& side;
        char letter;
        std::optional<core::Duration> took;
    };
    std::vector<Contender> contenders;
    for (auto& one : sides) {
        contenders.push_back({one, static_cast<char>('a' + contenders.size()), {}});
    }
    const auto began = stage_.clock.now();
    std::uint64_t last = 0;
    int holding = 0;
    std::function<void(Contender&)> ask = [&](Contender& who) {
        who.side->store->acquire(
            {QuorumSide::lock("hot"), who.side->want(who.letter), 1s}, [&](auto answer) {
                const auto* granted = answer ? std::get_if<Granted>(&*answer) : nullptr;
                if (granted == nullptr) {
                    ask(who);
                    return;
                }
                EXPECT_EQ(++holding, 1);
                EXPECT_GT(granted->token.value, last);
                last = granted->token.value;
                who.took = stage_.clock.now() - began;
                --holding;  // it stops before it releases
                who.side->store->release(
                    QuorumSide::lease("hot", who.letter, granted->token), {}, 1s, [](const auto&) {
                    });
            });
    };
    for (Contender& one : contenders) {
        ask(one);
    }
    EXPECT_TRUE(stage_.run_until([&] {
        return std::all_of(contenders.begin(), contenders.end(), [](const Contender& one) {
            return one.took.has_value();
        });
    }));
    std::vector<core::Duration> times;
    for (const Contender& one : contenders) {
        times.push_back(one.took.value_or(core::Duration::max()));
    }
    std::sort(times.begin(), times.end());
    std::cout << "median " << std::chrono::duration<double>(times[10]).count() << " s, last "
              << std::chrono::duration<double>(times.back()).count() << " s\n";
    EXPECT_LT(times[10], 3s);
}

class QuorumOfFive : public QuorumTest {
protected:
    QuorumOfFive() : QuorumTest(5) {}
};

TEST_F(QuorumOfFive, TwoOfFiveDown) {
    const auto one = ready_side();
    redis_[1]->process().kill_and_wait();
    redis_[4]->process().stop();
    const FencingToken token = one->grant("a", 'x');
    EXPECT_TRUE(one->renewed("a", 'x', token));
    EXPECT_EQ(verdict_of(one->release("a", 'x', token)), Verdict::held_throughout);
    redis_[4]->process().resume();
}

TEST_F(QuorumOfFive, FourOfFiveAreNeededIfSaidSo) {
    const auto one = ready_side({.required = 4});
    redis_[0]->process().kill_and_wait();
    one->grant("a", 'x');
    redis_[1]->process().kill_and_wait();
    EXPECT_FALSE(one->acquire("b", 'x'));
}

}  // namespace
}  // namespace holdfast::store
