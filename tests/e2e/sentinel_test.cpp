// Two daemons on a Redis that Sentinel looks after: what its primary suffers, and what they make of it.

#include "keeper.hpp"
#include "mixed_load.hpp"
#include "support/record_head.hpp"
#include "support/sentinel_group.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <iostream>
#include <vector>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

constexpr auto kMaxTtl = 10s;

class Sentinel : public testing::Test {
protected:
    explicit Sentinel(const std::string& safety = "safe") : safety_(safety) {}

    std::map<std::string, std::string> settings() const {
        return {{"HOLDFAST_LIMITS_MAX_TTL", std::to_string(kMaxTtl.count()) + "s"},
                {"HOLDFAST_LIMITS_DEFAULT_TTL", "2s"},
                {"HOLDFAST_STORE_SAFETY", safety_}};
    }
    static void during(std::chrono::milliseconds time) {
        const auto end = Steady::now() + time;
        eventually([&] { return Steady::now() >= end; }, kPatience);
    }
    test::SentinelGroup::Node& primary() { return group_.node(from_); }

    // When the first Sentinel has named another primary.
    Time await_switch() {
        EXPECT_TRUE(eventually([&] { return group_.is_left(from_); }, kPatience)) << group_.logs();
        return Steady::now();
    }
    std::size_t inboxes(std::size_t node) {
        const auto all = group_.node(node).redis->run({"PUBSUB", "CHANNELS", "holdfast:*"});
        return all.empty() ? 0 : 1 + static_cast<std::size_t>(std::ranges::count(all, '\n'));
    }
    void expect_both_followed() {
        for (const Daemon* daemon : {&one_, &two_}) {
            EXPECT_TRUE(eventually(
                [&] { return daemon->sample("holdfast_redis_primary_moves_total") >= 1; }, 10s))
                << daemon->log();
            EXPECT_THAT(daemon->log(), HasSubstr("the Redis primary has moved from"));
        }
    }
    void expect_renewed_in_time(const Keeper& keeper, Time switched) {
        ASSERT_TRUE(keeper.awaits({Event::kRenewed, Event::kRecovered, Event::kLost}, switched));
        const auto renewed = keeper.heard({Event::kRenewed, Event::kRecovered}, switched);
        ASSERT_TRUE(renewed) << "it was lost";
        const auto took = std::chrono::duration<double>(*renewed - switched).count();
        std::cout << "renewed " << took << " s after the switch\n";
        EXPECT_LE(took, 1.5) << "by the next renewal in turn it may be 3 s";
        EXPECT_FALSE(keeper.heard({Event::kLost}));
        const auto& now = group_.node(group_.await_another(from_));
        const test::RecordHead head{now.redis->run({"HGET", "hf:kept", "l"})};
        EXPECT_EQ(head.token, keeper.token);
    }
    // New grants, after the wait for all that could be held; never before.
    void expect_service_again(Time switched) {
        Client client{two_.address()};
        EXPECT_TRUE(eventually([&] { return client.acquire("free", 1s, 5s).ok(); }, kPatience));
        EXPECT_GE(Steady::now() - switched, kMaxTtl);
        EXPECT_TRUE(one_.wait_serving());
    }

    struct Fault {
        std::function<void()> begin;
        std::function<void()> end = [] {};
        bool hides_primary = true;  // from the daemons
    };
    void survives(const Fault& fault) {
        const std::size_t inboxes_before = inboxes(from_);
        EXPECT_GE(inboxes_before, 2U);
        MixedLoad load{{one_.address(), two_.address()}, {}};
        Keeper kept{one_.address(), "kept", kMaxTtl};
        Keeper brief{two_.address(), "brief", 2s};  // renewed more often than the switch takes
        during(1s);

        const Time began = Steady::now();
        fault.begin();
        const Time switched = await_switch();
        ASSERT_FALSE(HasFailure());
        ASSERT_NO_FATAL_FAILURE(expect_renewed_in_time(kept, switched));
        expect_both_followed();
        if (fault.hides_primary) {
            EXPECT_TRUE(brief.awaits({Event::kAtRisk}, began));
            EXPECT_TRUE(brief.awaits({Event::kRecovered, Event::kLost}, began));
        }
        EXPECT_EQ(Client{one_.address()}.acquire("free", 1s).reason, "RECOVERING");
        const std::size_t to = group_.await_another(from_);
        EXPECT_TRUE(eventually([&] { return inboxes(to) == inboxes_before; }, 10s))
            << inboxes(to) << " of " << inboxes_before;

        fault.end();
        expect_service_again(switched);
        during(1s);
        load.stop();
        std::cout << load.summary() << '\n';
        for (const auto& problems : {load.history.problems(), load.history.late_answers(8s)}) {
            for (const auto& problem : problems) {
                ADD_FAILURE() << problem;
            }
        }
        EXPECT_FALSE(kept.heard({Event::kLost}));
    }

    const std::string safety_;
    test::SentinelGroup group_;
    std::size_t from_ = group_.primary();
    Daemon one_{{"--store", group_.url()}, settings()};
    Daemon two_{{"--store", group_.url()}, settings()};
};

class AsyncSentinel : public Sentinel {
protected:
    AsyncSentinel() : Sentinel("async") {}
};

TEST_F(Sentinel, ThePrimaryIsKilled) {
    survives({[&] { primary().redis->process().kill_and_wait(); }});
}

TEST_F(Sentinel, ThePrimaryStandsStill) {
    survives({[&] { primary().redis->process().stop(); },
              [&] {
                  primary().redis->process().resume();
                  EXPECT_TRUE(group_.await_replica(from_));
              }});
}

TEST_F(Sentinel, ThePrimaryIsCutOffFromEverybody) {
    survives({[&] { primary().cut_off(true); },
              [&] {
                  primary().cut_off(false);
                  EXPECT_TRUE(group_.await_replica(from_));
              }});
}

TEST_F(Sentinel, ThePrimaryIsCutOffFromTheSentinelsOnly) {
    survives({[&] { primary().cut_off_from_sentinels(true); },
              [&] {
                  primary().cut_off_from_sentinels(false);
                  EXPECT_TRUE(group_.await_replica(from_));
              },
              false});
}

TEST_F(Sentinel, AFailoverByHandLosesNoLease) {
    Keeper kept{one_.address(), "kept", kMaxTtl};
    EXPECT_EQ(group_.sentinel(0).run({"SENTINEL", "FAILOVER", "mymaster"}), "OK");
    const Time switched = await_switch();
    expect_renewed_in_time(kept, switched);
    expect_both_followed();
    // Nobody can know that nothing is lost.
    expect_recovering(two_.address(), "free");
    one_.process().signal(SIGTERM);
    EXPECT_EQ(one_.process().wait(20s), 0);
}

TEST_F(Sentinel, ThreeFailoversInARowLoseNoLease) {
    Keeper kept{one_.address(), "kept", kMaxTtl};
    for (int round = 1; round <= 3; ++round) {
        ASSERT_TRUE(eventually(
            [&] {
                return group_.sentinel(0).run({"SENTINEL", "FAILOVER", "mymaster"}) == "OK";
            },
            kPatience));
        const Time switched = await_switch();
        ASSERT_NO_FATAL_FAILURE(expect_renewed_in_time(kept, switched));
        expect_recovering(two_.address(), "free");
        from_ = group_.await_another(from_);
        EXPECT_TRUE(eventually(
            [&] { return one_.sample("holdfast_redis_primary_moves_total") == round; }, 10s));
    }
}

// Redis' own, which loses nothing. Sentinel has no part in it, and takes seconds to see it.
TEST_F(Sentinel, ACoordinatedFailoverLosesNoLease) {
    Keeper kept{one_.address(), "kept", kMaxTtl};
    EXPECT_EQ(primary().redis->run({"FAILOVER"}), "OK");
    const Time switched = await_switch();
    expect_renewed_in_time(kept, switched);
    expect_recovering(two_.address(), "free");
}

TEST_F(Sentinel, ALeaseThatNoReplicaHasSeenIsPutBack) {
    primary().cut_off_from_replicas(true);
    Keeper kept{one_.address(), "kept", kMaxTtl};
    primary().redis->process().kill_and_wait();
    const Time switched = await_switch();
    expect_renewed_in_time(kept, switched);
    expect_recovering(two_.address(), "kept");
}

TEST_F(AsyncSentinel, AHolderIsToldThatItsLockDidNotSurvive) {
    primary().cut_off_from_replicas(true);
    Keeper kept{one_.address(), "kept", kMaxTtl};
    primary().redis->process().kill_and_wait();
    const Time switched = await_switch();
    EXPECT_TRUE(kept.awaits({Event::kLost}));
    EXPECT_LE(*kept.heard({Event::kLost}) - switched, 1500ms);
    Client client{two_.address()};
    ASSERT_TRUE(eventually([&] { return client.acquire("kept", 1s).ok(); }))
        << "grants go on at once";
    EXPECT_GT(client.lease.fencing_token(), kept.token);
}

TEST_F(Sentinel, WithoutAnySentinelThePrimaryThatIsKnownServesOn) {
    for (std::size_t i = 0; i < test::SentinelGroup::kSentinels; ++i) {
        group_.sentinel(i).process().kill_and_wait();
    }
    Client client{one_.address()};
    for (int i = 0; i < 3; ++i) {
        const Answer free = client.acquire("free", 1s, 5s);
        ASSERT_TRUE(free.ok()) << free.status.error_message() << one_.log();
        client.release(client.lease.lease_id());
        primary().redis->run({"CLIENT", "KILL", "TYPE", "normal"});  // and is found again
        EXPECT_TRUE(eventually([&] { return client.acquire("again", 1s, 5s).ok(); })) << one_.log();
        client.release(client.lease.lease_id());
    }
    EXPECT_TRUE(one_.wait_serving());
    Daemon late{{"--store", group_.url()}, settings(), false};
    EXPECT_TRUE(eventually([&] {
        return late.log().find("no primary known: sentinel " + group_.sentinel(0).address() +
                               " unreachable: Connection refused") != std::string::npos;
    })) << late.log();
}

}  // namespace
}  // namespace holdfast::e2e
