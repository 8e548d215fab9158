// Waiting for the replica of a real Redis, whose link can be cut.

#include "store/replication.hpp"

#include "store/durable_store.hpp"
#include "store_fixture.hpp"
#include "support/redis_pair.hpp"

#include <memory>
#include <optional>

namespace holdfast::store {
namespace {

// How long a test waits for replicas that do not come.
constexpr core::Milliseconds kWait{500};

class ReplicaTest : public testing::Test {
protected:
    ReplicaTest() {
        pool_.start();
        EXPECT_TRUE(run_until([this] { return pool_.status().up > 0; }));
    }
    ~ReplicaTest() override { pool_.stop(); }

    std::string incarnation() { return side_.store.canary().incarnation(); }
    Replication::Acks acks(std::size_t replicas = 1) {
        std::optional<Replication::Acks> found;
        replication_.await(replicas, incarnation(), [&](const auto& acks) { found = acks; });
        EXPECT_TRUE(run_until([&] { return found.has_value(); }));
        return *found;
    }
    template <class Condition>
    bool run_until(Condition condition) {
        return side_.run_until([&] {
            timers_.fire(side_.clock.now());
            return condition();
        });
    }
    core::StoreResult<core::AcquireAnswer> acquire(char holder, char by = 0) {
        core::Want want = side_.want(holder, 10s, by);
        want.replicas = 1;
        std::optional<core::StoreResult<core::AcquireAnswer>> found;
        durable_.acquire({Side::lock("a"), want, Side::kTimeout},
                         [&](auto answer) { found = answer; });
        EXPECT_TRUE(run_until([&] { return found.has_value(); }));
        return *found;
    }
    std::uint64_t offset() const {
        const std::string info = pair_.primary.run({"INFO", "replication"});
        const std::string field = "master_repl_offset:";
        return std::stoull(info.substr(info.find(field) + field.size()));
    }
    std::uint64_t written_by(const std::function<void()>& what) const {
        // (Without the replica, so that nothing else is written: no pings.)
        const std::uint64_t before = offset();
        what();
        return offset() - before;
    }

    test::RedisPair pair_;
    Side side_{settings_of(pair_.primary)};
    core::TimerQueue timers_;
    Replication* to_ = nullptr;
    redis::Pool pool_{side_.context, settings_of(pair_.primary), [this](const auto* server) {
                          to_->on_line(0, server);
                      }};
    Replication replication_{side_.clock,
                             timers_,
                             {{{pool_, [] {}}, {pool_, [] {}}}},
                             {Replication::key_for("hf:"), 16, kWait}};
    DurableStore durable_{side_.store, replication_, 0, [this] { return incarnation(); }};
    const bool ready_ = (to_ = &replication_, true);
};

TEST_F(ReplicaTest, AReplicaAcknowledgesWhatTheOtherConnectionHasWritten) {
    side_.grant("a", 'x');
    EXPECT_EQ(acks().count, 1U);
    EXPECT_EQ(pair_.replica.run({"EXISTS", "hf:a"}), "1");
}

TEST_F(ReplicaTest, AReplicaThatIsCutOffDoesNot) {
    pair_.cut(true);
    side_.grant("a", 'x');
    const auto found = acks();
    EXPECT_EQ(found.count, 0U);
    EXPECT_EQ(found.why, "") << "that much is known";
    pair_.cut(false);
    EXPECT_TRUE(run_until([&] { return acks().count == 1; }));
}

TEST_F(ReplicaTest, MoreReplicasThanThereAreNeverAcknowledge) {
    EXPECT_EQ(acks(2).count, 1U);
}

// FAULTS.md: a server that has been a replica meanwhile is another, though the connection stands.
TEST_F(ReplicaTest, APrimaryThatWasAReplicaMeanwhileIsNotBelieved) {
    EXPECT_EQ(acks().count, 1U);
    const std::string port = std::to_string(pair_.replica.port());
    pair_.replica.run({"REPLICAOF", "NO", "ONE"});
    pair_.primary.run({"REPLICAOF", "127.0.0.1", port});
    ASSERT_TRUE(test::eventually([&] {
        return pair_.primary.run({"INFO", "replication"}).find("master_link_status:up") !=
               std::string::npos;
    }));
    pair_.primary.run({"REPLICAOF", "NO", "ONE"});
    pair_.replica.run({"REPLICAOF", "127.0.0.1", std::to_string(pair_.primary.port())});
    ASSERT_TRUE(test::eventually([&] { return pair_.follows(); }));
    const auto found = acks();
    EXPECT_EQ(found.count, 0U);
    EXPECT_NE(found.why.find("the primary has changed"), std::string::npos) << found.why;
}

TEST_F(ReplicaTest, TheBeaconIsOneKeyThatGoesByItself) {
    acks();
    acks();
    EXPECT_EQ(pair_.primary.run({"DBSIZE"}), "2") << "and the canary";
    EXPECT_GT(std::stoll(pair_.primary.run({"PTTL", Replication::key_for("hf:")})), 0);
}

TEST_F(ReplicaTest, ItIsWrittenWhenMemoryIsFull) {
    acks();
    pair_.primary.run({"CONFIG", "SET", "maxmemory", "1"});
    EXPECT_EQ(acks().count, 1U);
}

TEST_F(ReplicaTest, AGrantThatIsNotAcknowledgedIsNotDurableUntilARetryIs) {
    pair_.cut(true);
    for (int i = 0; i < 2;
         ++i) {  // the second is a retry: it finds its lease, and is not believed either
        const auto answer = acquire('x');
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().failure, core::StoreFailure::not_durable);
    }
    pair_.cut(false);
    EXPECT_TRUE(run_until([&] {
        const auto answer = acquire('x');
        return answer && std::get<core::Granted>(*answer).replicas == 1;
    }));
    EXPECT_EQ(pair_.replica.run({"EXISTS", "hf:a"}), "1");
}

// Since Redis 7.2, WAIT on a connection that has only read does not wait for what others have written: a
// retry that reads only would be told as durable. Ours write, and WAIT stands behind a write of its own.
TEST_F(ReplicaTest, ARetryWritesAndSoDoesTheBeacon) {
    pair_.replica.process().kill_and_wait();
    ASSERT_TRUE(test::eventually([&] {
        return pair_.primary.run({"INFO", "replication"}).find("connected_slaves:0") !=
               std::string::npos;
    }));
    core::FencingToken token;
    EXPECT_GT(written_by([&] { token = side_.grant("a", 'x'); }), 0U);
    EXPECT_GT(written_by([&] { EXPECT_EQ(side_.grant("a", 'x'), token); }), 0U) << "the retry";
    EXPECT_GT(written_by([&] { EXPECT_TRUE(side_.renew("a", 'x', token).renewed); }), 0U);
    acks();
    EXPECT_GT(written_by([&] { EXPECT_EQ(acks().count, 0U); }), 0U) << "the beacon";
    EXPECT_EQ(written_by([&] { EXPECT_TRUE(side_.inspect("a")); }), 0U) << "this test sees reads";
}

// The canary of strict mode: nothing is granted before a majority follows, and a longest lease more.
class SealTest : public testing::Test {
protected:
    static constexpr core::Ttl kMaxTtl{2s};

    RedisLockStore::Options options() {
        RedisLockStore::Options options{.station = "station1"};
        options.canary.max_ttl = kMaxTtl;
        options.canary.await_majority = [this](const std::string&, std::function<void(bool)> done) {
            asked_.push_back(std::move(done));
        };
        return options;
    }
    Canary::Finding look() {
        return *side_.call<Canary::Finding>(
            [&](auto done) { side_.store.canary().look(Side::kTimeout, std::move(done)); });
    }
    bool granted(const std::string& name = "a") {
        const auto answer = side_.acquire(name, 'x');
        return answer && std::holds_alternative<core::Granted>(*answer);
    }
    // The store forgets everything.
    void flush() {
        redis_.run({"FLUSHALL"});
        EXPECT_TRUE(side_.run_until([&] { return look().sealed; }));
    }

    test::RedisProcess redis_;
    std::vector<std::function<void(bool)>> asked_;
    Side side_{settings_of(redis_), options()};
};

TEST_F(SealTest, ANewStoreIsOpen) {
    EXPECT_FALSE(look().sealed);
    EXPECT_TRUE(granted());
    EXPECT_TRUE(asked_.empty());
}

TEST_F(SealTest, TheWaitCountsFromTheMajorityNotFromTheLoss) {
    flush();
    const auto lost_at = std::chrono::steady_clock::now();
    ASSERT_EQ(asked_.size(), 1U);
    asked_.back()(false);
    EXPECT_TRUE(side_.run_until(
        [&] {
            EXPECT_TRUE(look().sealed);
            return std::chrono::steady_clock::now() - lost_at > core::store_hold(kMaxTtl) + 500ms;
        },
        20s))
        << "the longest lease has passed since the loss, with its guard";
    EXPECT_FALSE(granted());
    ASSERT_GT(asked_.size(), 1U) << "it is asked again";
    const auto followed_at = std::chrono::steady_clock::now();
    asked_.back()(true);
    EXPECT_TRUE(side_.run_until([&] { return !look().sealed; }));
    EXPECT_GT(look().closed_for, 0ms);
    EXPECT_FALSE(granted());
    EXPECT_TRUE(side_.run_until([&] { return granted(); }));
    EXPECT_GE(std::chrono::steady_clock::now() - followed_at, core::store_hold(kMaxTtl) - 5ms);
}

TEST_F(SealTest, ADaemonThatComesChangesNothingAndEveryOneObeys) {
    flush();
    RedisLockStore::Options strict = options();
    strict.station = "station2";
    Side other{settings_of(redis_), strict};
    const auto found = *other.call<Canary::Finding>(
        [&](auto done) { other.store.canary().look(Side::kTimeout, std::move(done)); });
    EXPECT_TRUE(found.sealed);
    const auto answer = other.acquire("a", 'y');
    ASSERT_TRUE(answer && std::holds_alternative<core::Busy>(*answer));
    EXPECT_TRUE(std::get<core::Busy>(*answer).recovering);
}

TEST_F(SealTest, ALossAfterTheMajorityWasAskedForSealsAnew) {
    flush();
    asked_.back()(true);
    EXPECT_TRUE(side_.run_until([&] { return !look().sealed; }));
    flush();
    EXPECT_FALSE(granted());
    EXPECT_EQ(asked_.size(), 2U);
}

// Where strict mode was left, a sealed store opens as in safe mode.
TEST_F(SealTest, WithoutStrictModeItOpensALongestLeaseLater) {
    flush();
    RedisLockStore::Options safe{.station = "station2"};
    safe.canary.max_ttl = kMaxTtl;
    Side other{settings_of(redis_), safe};
    EXPECT_TRUE(other.run_until([&] {
        const auto answer = other.acquire("a", 'y');
        return answer && std::holds_alternative<core::Granted>(*answer);
    }));
}

}  // namespace
}  // namespace holdfast::store
