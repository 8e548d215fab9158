// A primary that was promoted once, whose second replication id Redis forgets when it has had no replica for
// repl-backlog-ttl: the daemons that connected before and after must not take it for two.

#include "quorum_fixture.hpp"
#include "store_fixture.hpp"

namespace holdfast::store {
namespace {

const std::string kCleared = "master_replid2:" + std::string(40, '0');

bool is_cleared(const test::RedisProcess& redis) {
    return redis.run({"INFO", "replication"}).find(kCleared) != std::string::npos;
}

// As a failover to `redis` does it, from `from`.
void promote(const test::RedisProcess& redis, const test::RedisProcess& from) {
    redis.run({"REPLICAOF", "127.0.0.1", std::to_string(from.port())});
    ASSERT_TRUE(test::eventually(
        [&] {
            return redis.run({"INFO", "replication"}).find("master_link_status:up") !=
                   std::string::npos;
        },
        30s));
    redis.run({"REPLICAOF", "NO", "ONE"});
    ASSERT_FALSE(is_cleared(redis));
}

void let_it_forget(const test::RedisProcess& redis) {
    redis.run({"CONFIG", "SET", "repl-backlog-ttl", "1"});
    ASSERT_TRUE(test::eventually([&] { return is_cleared(redis); }, 30s));
}

class Incarnation : public testing::Test {
protected:
    static RedisLockStore::Options counting(int& losses) {
        RedisLockStore::Options options{.station = "station1"};
        options.canary.on_loss = [&losses] { ++losses; };
        return options;
    }
    static Canary::Finding look(Side& side) {
        const auto found = side.call<Canary::Finding>(
            [&](auto done) { side.store.canary().look(Side::kTimeout, std::move(done)); });
        EXPECT_TRUE(found) << found.error().message;
        return found ? *found : Canary::Finding{1h, false, {}};
    }
    static std::vector<std::string> patient() {
        return {"--repl-diskless-sync-delay", "0", "--repl-backlog-ttl", "0"};
    }

    test::RedisProcess redis_{patient()};
    test::RedisProcess other_{patient()};
    int old_losses_ = 0;
    int new_losses_ = 0;
};

TEST_F(Incarnation, WhatRedisForgetsOfItIsNoLoss) {
    promote(redis_, other_);
    Side old_daemon{settings_of(redis_), counting(old_losses_)};
    const auto token = old_daemon.grant("held", 'a');
    let_it_forget(redis_);
    Side new_daemon{settings_of(redis_), counting(new_losses_)};
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(look(new_daemon).closed_for, 0ms);
        EXPECT_EQ(look(old_daemon).closed_for, 0ms);
        old_daemon.grant("old" + std::to_string(i), 'b');
        new_daemon.grant("new" + std::to_string(i), 'c');
    }
    EXPECT_EQ(old_losses_ + new_losses_, 0);
    EXPECT_EQ(old_daemon.store.canary().incarnation(), new_daemon.store.canary().incarnation());
    EXPECT_TRUE(old_daemon.renew("held", 'a', token).renewed);
}

TEST_F(Incarnation, ADaemonThatKnowsNothingOfItYetIsToldByTheNextLook) {
    promote(redis_, other_);
    Side old_daemon{settings_of(redis_), counting(old_losses_)};
    ASSERT_EQ(look(old_daemon).closed_for, 0ms);
    let_it_forget(redis_);
    Side new_daemon{settings_of(redis_), counting(new_losses_)};
    ASSERT_EQ(look(new_daemon).closed_for, 0ms);
    EXPECT_TRUE(old_daemon.run_until([&] {
        const auto answer = old_daemon.acquire("a", 'a');
        return answer && std::holds_alternative<core::Granted>(*answer);
    }));
    EXPECT_EQ(old_losses_ + new_losses_, 0);
}

// Its data is the other's, its connections stay.
TEST_F(Incarnation, ADemotionAndPromotionUnderAnOpenConnectionIsALoss) {
    Side daemon{settings_of(redis_), counting(old_losses_)};
    daemon.grant("held", 'a');
    ASSERT_EQ(look(daemon).closed_for, 0ms);
    promote(other_, redis_);  // it has the canary, too
    promote(redis_, other_);
    EXPECT_GT(look(daemon).closed_for, 1s);
    EXPECT_EQ(old_losses_, 1);
    EXPECT_GT(look(daemon).closed_for, 1s);
    EXPECT_EQ(old_losses_, 1) << "it is told once";
}

TEST_F(Incarnation, ANodeOfAQuorumIsTheSameForAll) {
    const test::RedisProcess third;
    promote(redis_, other_);
    Stage stage;
    const std::vector<int> ports{redis_.port(), other_.port(), third.port()};
    QuorumSide old_daemon{stage, ports};
    ASSERT_TRUE(old_daemon.ready(3));
    let_it_forget(redis_);
    QuorumSide new_daemon{stage, ports, {.assume_new = false, .station = "station2"}};
    for (int i = 0; i < 3; ++i) {
        for (QuorumSide* side : {&old_daemon, &new_daemon}) {
            bool looked = false;
            side->nodes().look(1s, [&] { looked = true; });
            ASSERT_TRUE(stage.run_until([&] { return looked; }));
            EXPECT_EQ(side->nodes().status(0).state, QuorumNodes::State::part);
        }
    }
    EXPECT_EQ(old_daemon.nodes().known(0), new_daemon.nodes().known(0));
}

// Nobody knows that it was only once.
TEST_F(Incarnation, ANodeOfAQuorumThatWasNotWatchedTakesNoPartForAWhile) {
    const test::RedisProcess third;
    promote(redis_, other_);
    Stage stage;
    const std::vector<int> ports{redis_.port(), other_.port(), third.port()};
    std::string key;
    {
        QuorumSide daemon{stage, ports};
        ASSERT_TRUE(daemon.ready(3));
        key = daemon.nodes().key();
    }
    let_it_forget(redis_);
    redis_.run({"HSET", key, "t", "1"});
    QuorumSide daemon{stage, ports, {.assume_new = false, .station = "station2"}};
    EXPECT_TRUE(stage.run_until(
        [&] { return daemon.nodes().status(0).state == QuorumNodes::State::waiting; }));
}

}  // namespace
}  // namespace holdfast::store
