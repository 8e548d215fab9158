// A primary of a Cluster that is not dead but away: it stands still, or is cut off, until its replica has been
// promoted, and then is back and believes for a moment that it still serves. Two daemons use both all the time.

#include "cluster_fixture.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

namespace holdfast::e2e {
namespace {

// Who serves most of the load's locks, and so is the one that goes away.
constexpr std::size_t kAway = 1;
constexpr std::array<std::string_view, 4> kLoadThere{"shared", "permits", "one", "three"};
constexpr std::size_t kReplica = kAway + test::RedisCluster::kPrimaries;
constexpr std::size_t kWitness = 0;

class ClusterFailover : public Cluster {
protected:
    explicit ClusterFailover(test::RedisCluster::Options options = {})
        : Cluster(std::move(options)) {}

    struct Fault {
        std::function<void()> begin;
        std::function<void()> end;
        std::chrono::milliseconds lasts{0};  // beyond the promotion
        bool hides_primary = true;           // from the daemons
    };

    // By what another node says: the one that is away cannot be asked, or is mistaken.
    Time await_promotion(const std::string& name) {
        EXPECT_TRUE(eventually(
            [&] { return cluster_.owner_as_seen_by(kWitness, "hf:" + name) == kReplica; },
            kPatience));
        return Steady::now();
    }
    // Of the locks that the lost primary served: how many were granted from `since` on.
    static std::size_t granted_there(const MixedLoad& load, Time from, Time to = Time::max()) {
        const auto& holds = load.history.holds();
        return static_cast<std::size_t>(
            std::count_if(holds.begin(), holds.end(), [&](const Hold& hold) {
                return hold.granted >= from && hold.granted < to &&
                       std::find(kLoadThere.begin(), kLoadThere.end(), hold.name) !=
                           kLoadThere.end();
            }));
    }
    // A holder hears of its lease: that it is renewed, or that it is lost. Its token stays.
    void expect_told(const Keeper& keeper, const std::string& name, Time switched) {
        ASSERT_TRUE(keeper.awaits({Event::kRenewed, Event::kRecovered, Event::kLost}, switched));
        if (!keeper.heard({Event::kLost})) {
            expect_kept(keeper, name, kReplica, switched);
        }
    }
    void survives(const Fault& fault);
};

void ClusterFailover::survives(const Fault& fault) {
    for (const auto& name : kLoadThere) {
        ASSERT_EQ(cluster_.owner("hf:" + std::string{name}), kAway);
    }
    const std::string free = name_at(kAway, "free");
    const std::string name = name_at(kAway, "kept");
    const std::string brief_name = name_at(kAway, "brief");
    Client before{one_.address()};
    ASSERT_TRUE(before.acquire(free, 1s).ok());
    ASSERT_TRUE(before.release(before.lease.lease_id()).ok());
    MixedLoad load{{one_.address(), two_.address()}, {}};
    const Keeper kept{one_.address(), name, kMaxTtl};
    const Keeper brief{two_.address(), brief_name, 2s};  // renewed more often than that takes
    const Keeper elsewhere{two_.address(), name_at(kWitness, "elsewhere"), kMaxTtl};
    during(1s);

    const Time began = Steady::now();
    fault.begin();
    const Time switched = await_promotion(name);
    ASSERT_FALSE(HasFailure());
    during(fault.lasts);
    fault.end();
    ASSERT_NO_FATAL_FAILURE(expect_told(kept, name, switched));
    if (switched - began < kMaxTtl / 2) {
        EXPECT_FALSE(kept.heard({Event::kLost})) << "it had more than half of its ttl left";
    }
    if (fault.hides_primary) {
        EXPECT_TRUE(brief.awaits({Event::kAtRisk}, began));
    }
    if (!brief.heard({Event::kLost})) {  // its ttl may be over before the promotion
        ASSERT_NO_FATAL_FAILURE(expect_told(brief, brief_name, switched));
    }
    EXPECT_FALSE(elsewhere.heard({Event::kAtRisk, Event::kLost}, switched));

    // The old primary is a replica now, and nothing was granted before every lease had ended.
    EXPECT_TRUE(cluster_.await_replica(kAway));
    Client client{two_.address()};
    EXPECT_TRUE(eventually([&] { return client.acquire(free, 1s, 5s).ok(); }, kPatience));
    const Time again = Steady::now();
    EXPECT_GE(again - switched, kMaxTtl - 1s);
    EXPECT_GT(client.lease.fencing_token(), before.lease.fencing_token());
    EXPECT_TRUE(one_.wait_serving());
    EXPECT_TRUE(two_.wait_serving());
    during(1s);
    load.stop();
    expect_good(load);
    for (const auto& problem : load.history.late_losses(2s)) {
        ADD_FAILURE() << problem;
    }
    EXPECT_GT(granted_there(load, {}, began), 0U);
    EXPECT_EQ(granted_there(load, switched + 1s, switched + kMaxTtl - 1s), 0U);
    EXPECT_GT(granted_there(load, again), 0U) << "service is not back";
    EXPECT_FALSE(elsewhere.heard({Event::kLost}));
}

class GatedCluster : public ClusterFailover {
protected:
    GatedCluster() : ClusterFailover({.gated = true}) {}

    // The old primary knows nothing of the new one.
    void expect_split() {
        EXPECT_EQ(cluster_.owner_as_seen_by(kAway, "hf:one"), kAway);
        EXPECT_EQ(cluster_.owner_as_seen_by(kWitness, "hf:one"), kReplica);
    }
};

TEST_F(ClusterFailover, APrimaryStandsStillUntilItsReplicaIsPromoted) {
    survives({[&] { cluster_.node(kAway).process().stop(); },
              [&] { cluster_.node(kAway).process().resume(); }});
}

TEST_F(GatedCluster, APrimaryIsCutOffFromEverybody) {
    survives({[&] { cluster_.cut_off(kAway, true); }, [&] { cluster_.cut_off(kAway, false); }, 2s});
}

// The daemons reach both sides.
TEST_F(GatedCluster, APrimaryIsCutOffFromTheOtherNodesOnly) {
    survives({[&] { cluster_.cut_off_from_nodes(kAway, true); },
              [&] {
                  expect_split();
                  cluster_.cut_off_from_nodes(kAway, false);
              },
              2s,
              false});
}

}  // namespace
}  // namespace holdfast::e2e
