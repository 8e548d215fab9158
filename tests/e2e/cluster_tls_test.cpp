// Daemons on a Redis Cluster that speaks nothing but TLS: to clients, between its nodes, to replicas.

#include "cluster_fixture.hpp"
#include "steadily.hpp"
#include "tls_papers.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

namespace holdfast::e2e {
namespace {

class ClusterTls : protected TlsPapers, public Cluster {
protected:
    ClusterTls() : Cluster({.tls = test::RedisCluster::Tls{of_nodes, authority.ca()}}, access()) {}

    // How often a node has answered so: "MOVED", "ASK".
    int answered(std::size_t node, const std::string& error) const {
        const std::string stats = cluster_.run(node, {"INFO", "errorstats"});
        const std::string name = "errorstat_" + error + ":count=";
        const auto at = stats.find(name);
        return at == std::string::npos ? 0 : std::stoi(stats.substr(at + name.size()));
    }
    // Takes it at one daemon when it is released at the other. How long that took.
    Steady::duration hand_on(const std::string& name) {
        Client holder{one_.address()};
        EXPECT_TRUE(holder.acquire(name, 4s).ok());
        Answer got;
        Time when;
        std::thread waiting{[&] {
            Client waiter{two_.address()};
            got = waiter.acquire(name, 4s, 20s);
            when = Steady::now();
            EXPECT_GT(waiter.lease.fencing_token(), holder.lease.fencing_token());
        }};
        Client watcher{two_.address()};
        EXPECT_TRUE(
            eventually([&] { return watcher.get(name).ok() && watcher.lock.waiting() == 1; }));
        const Time released = Steady::now();
        EXPECT_TRUE(holder.release(holder.lease.lease_id()).ok());
        waiting.join();
        EXPECT_TRUE(got.ok()) << got.status.error_message();
        return when - released;
    }
};

TEST_F(ClusterTls, EverydayCallsOnEveryNode) {
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        ASSERT_EQ(cluster_.run(node, {"CONFIG", "GET", "port"}), "port\n0") << "nothing is plain";
    }
    std::vector<Steady::duration> times;
    for (std::size_t node = 0; node < 3; ++node) {
        const std::string name = name_at(node);
        Client client{one_.address()};
        Client other{two_.address()};
        const Answer taken = client.acquire(name, 8s);
        ASSERT_TRUE(taken.ok()) << taken.status.error_message() << one_.log();
        const std::uint64_t token = client.lease.fencing_token();
        EXPECT_EQ(other.acquire(name, 2s).reason, "LOCK_HELD");
        EXPECT_TRUE(other.renew(client.lease.lease_id(), 8s).ok());
        ASSERT_TRUE(other.get(name).ok());
        EXPECT_EQ(other.lock.holders(0).fencing_token(), token);
        ASSERT_TRUE(other.release(client.lease.lease_id()).ok());
        EXPECT_EQ(other.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        times.push_back(hand_on(name));
    }
    std::sort(times.begin(), times.end());
    EXPECT_LT(times[1], 500ms) << "told by message, not found by a poll";
}

// The redirections name the TLS ports.
TEST_F(ClusterTls, ASlotIsFollowedToItsNewNode) {
    const std::string held = "{half}held";
    const redis::Slot slot = redis::slot_of("hf:" + held);
    Keeper kept{two_.address(), "{half}kept", kMaxTtl};
    Client client{one_.address()};
    ASSERT_TRUE(client.acquire(held, 8s).ok());
    const std::uint64_t token = client.lease.fencing_token();
    // Again and again: a map that is asked for just then makes MOVED needless.
    bool asked = false;
    int round = 0;
    const auto both_seen = [&] {
        const std::size_t from = cluster_.owner("hf:" + held);
        const std::size_t to = (from + 1) % 3;
        const std::string fresh = "{half}fresh" + std::to_string(round++);
        const int moved_before = answered(from, "MOVED");
        cluster_.begin_move(slot, from, to);
        Client other{two_.address()};
        EXPECT_TRUE(other.acquire(fresh, 8s).ok()) << "ASK";
        asked = asked || answered(from, "ASK") > 0;
        cluster_.move_keys(slot, from, to);
        cluster_.end_move(slot, from, to);
        EXPECT_TRUE(client.renew(client.lease.lease_id(), 8s).ok()) << "MOVED";
        EXPECT_EQ(Client{two_.address()}.acquire(held, 2s).reason, "LOCK_HELD");
        EXPECT_TRUE(Client{one_.address()}.release(other.lease.lease_id()).ok());
        return HasFailure() || (asked && answered(from, "MOVED") > moved_before);
    };
    EXPECT_TRUE(eventually(both_seen, kPatience));
    EXPECT_TRUE(asked);
    EXPECT_TRUE(client.release(client.lease.lease_id()).ok());
    Client next{two_.address()};
    ASSERT_TRUE(next.acquire(held, 1s).ok());
    EXPECT_GT(next.lease.fencing_token(), token);
    EXPECT_FALSE(kept.heard({Event::kLost}));
}

TEST_F(ClusterTls, SlotsAreMovedUnderLoadWithoutAFailedCall) {
    Keeper kept{one_.address(), "kept", kMaxTtl};
    Steadily one{one_.address()};
    Steadily two{two_.address()};
    EXPECT_EQ(cluster_.reshard(0, 1, 200), "");
    const int moved = one.taken;
    EXPECT_TRUE(eventually([&] { return one.taken > moved + 50; }, kPatience));
    one.stop();
    two.stop();
    EXPECT_THAT(one.failed, testing::IsEmpty());
    EXPECT_THAT(two.failed, testing::IsEmpty());
    EXPECT_FALSE(kept.heard({Event::kLost}));
}

TEST_F(ClusterTls, AKilledPrimaryIsFollowedByItsReplica) {
    const std::string name = name_at(0, "kept");
    Keeper kept{one_.address(), name, kMaxTtl};
    cluster_.node(0).process().kill_and_wait();
    const std::size_t to = cluster_.await_other_owner("hf:" + name, 0);
    EXPECT_EQ(to, 3U);
    const Time switched = Steady::now();
    ASSERT_NO_FATAL_FAILURE(expect_kept(kept, name, to, switched));
    expect_recovering(two_.address(), name_at(to, "free"));
    Client client{two_.address()};
    EXPECT_TRUE(
        eventually([&] { return client.acquire(name_at(to, "free"), 1s, 12s).ok(); }, kPatience));
    EXPECT_FALSE(kept.heard({Event::kLost}));
    EXPECT_TRUE(two_.wait_serving());
}

TEST_F(ClusterTls, AnUnknownAuthorityIsToldAndMended) {
    expect_wrong_authority_is_told(*this, cluster_.url(), settings());
}

TEST_F(ClusterTls, AMissingClientCertificateIsTold) {
    expect_missing_certificate_is_told(cluster_.url(), settings());
}

}  // namespace
}  // namespace holdfast::e2e
