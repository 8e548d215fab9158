// A daemon on a quorum drains: what it held goes on at another daemon, whatever one node of the quorum does.

#include "hold_stream.hpp"
#include "quorum_fixture.hpp"

#include <csignal>

namespace holdfast::e2e {
namespace {

constexpr auto kTtl = 6s;

class QuorumDrain : public Quorum {
protected:
    std::map<std::string, std::string> settings() const {
        auto all = Quorum::settings();
        all["HOLDFAST_LIMITS_MAX_TTL"] = std::to_string(kTtl.count()) + "s";
        all["HOLDFAST_DRAIN_TIMEOUT"] = "30s";
        all["HOLDFAST_SERVER_SHARDS"] = "2";
        return all;
    }
    // For whom the watchdog renews, though nobody is connected.
    pb::Lease leave_behind(const std::string& name) {
        pb::AcquireRequest request = Client::request(name, kTtl);
        request.set_max_hold_ms(120'000);
        const Answer taken = first_.acquire(request);
        EXPECT_TRUE(taken.ok()) << taken.status.error_message();
        return first_.lease;
    }
    std::vector<pb::Lease> leave_some_behind() {
        std::vector<pb::Lease> leases;
        for (int i = 0; i < 12; ++i) {
            leases.push_back(leave_behind("kept" + std::to_string(i)));
        }
        return leases;
    }
    static void during(Steady::duration time) {
        const auto until = Steady::now() + time;
        ASSERT_TRUE(eventually([&] { return Steady::now() > until; }, 60s));
    }
    void expect_drained() {
        ASSERT_EQ(one_.process().wait(60s), 0) << one_.log();
        EXPECT_NE(one_.log().find("drained"), std::string::npos) << one_.log();
    }
    // Well past the ttl and the store's guard they are still held, so somebody renews them.
    void expect_taken_over(const std::vector<pb::Lease>& leases) {
        EXPECT_EQ(one_.log().find("found no other daemon"), std::string::npos) << one_.log();
        EXPECT_EQ(two_.sample("holdfast_leases"), leases.size());
        during(kTtl + 2s);
        for (const pb::Lease& lease : leases) {
            EXPECT_EQ(second_.acquire(lease.name(), 1s).reason, "LOCK_HELD") << lease.name();
            ASSERT_TRUE(second_.get(lease.name()).ok()) << lease.name();
            ASSERT_EQ(second_.lock.holders_size(), 1);
            EXPECT_EQ(second_.lock.holders(0).fencing_token(), lease.fencing_token());
            ASSERT_TRUE(second_.release(lease.lease_id()).ok());
            EXPECT_EQ(second_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
            ASSERT_TRUE(second_.acquire(lease.name(), 1s).ok()) << lease.name();
            EXPECT_GT(second_.lease.fencing_token(), lease.fencing_token());
        }
    }

    Daemon one_{{"--store", url()}, settings()};
    Daemon two_{{"--store", url()}, settings()};
    Client first_{one_.address()};
    Client second_{two_.address()};
};

TEST_F(QuorumDrain, LeasesThatNobodyListensForGoToAnotherDaemon) {
    const auto leases = leave_some_behind();
    one_.process().signal(SIGTERM);
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    expect_taken_over(leases);
}

TEST_F(QuorumDrain, AndSoTheyDoWithoutTheFirstNode) {
    const auto leases = leave_some_behind();
    nodes_[0]->process().kill_and_wait();
    one_.process().signal(SIGTERM);
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    expect_taken_over(leases);
}

TEST_F(QuorumDrain, AndWhileANodeStandsStill) {
    const auto leases = leave_some_behind();
    nodes_[1]->process().stop();
    one_.process().signal(SIGTERM);
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    expect_taken_over(leases);
    nodes_[1]->process().resume();
}

// By `holdfast drain`: those who wait hear DRAINING, streams MOVING, and resume at the other daemon.
TEST_F(QuorumDrain, StreamsMoveAndWaitersAreSentAway) {
    const pb::Lease left = leave_behind("left");
    HoldStream held{first_, Client::request("held", kTtl)};
    ASSERT_EQ(held.next(), Event::kGranted);
    Client third{one_.address()};
    HoldStream waiting{third, Client::request("held", kTtl, 60s)};
    ASSERT_EQ(waiting.next(), Event::kQueued);
    const Outcome drain = run_program({program("holdfast"), "--server", one_.address(), "drain"});
    EXPECT_EQ(drain.code, 0) << drain.output;
    ASSERT_TRUE(held.until(Event::kMoving));
    EXPECT_GT(held.event.moving().safe_for_ms(), 0U);
    EXPECT_EQ(held.finish().reason, "DRAINING");
    EXPECT_EQ(waiting.finish().reason, "DRAINING");

    pb::AcquireRequest request = Client::request("", kTtl);
    request.set_resume_lease_id(held.lease.lease_id());
    HoldStream resumed{second_, request};
    ASSERT_EQ(resumed.next(), Event::kGranted);
    EXPECT_EQ(resumed.lease.fencing_token(), held.lease.fencing_token());
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    // It goes on there, and the one who waited has left no place in the queue.
    EXPECT_TRUE(resumed.until(Event::kRenewed));
    Client other{two_.address()};
    ASSERT_TRUE(other.get("held").ok());
    EXPECT_EQ(other.lock.waiting(), 0U);
    EXPECT_TRUE(other.release(left.lease_id()).ok());
    EXPECT_EQ(other.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

// Nobody can take the lease over. It ends by its ttl, unless the other, which was told of it, still tries when
// the nodes come back: then it goes on, as nobody else can have been granted it.
TEST_F(QuorumDrain, WithoutAMajorityItEndsAllTheSame) {
    const pb::Lease lease = leave_behind("kept");
    nodes_[0]->process().stop();
    nodes_[2]->process().stop();
    one_.process().signal(SIGTERM);
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    during(kTtl + 2s);
    nodes_[0]->process().resume();
    nodes_[2]->process().resume();
    EXPECT_TRUE(two_.wait_serving());
    const Answer taken = second_.acquire("kept", 1s, 5s);
    if (!taken.ok()) {
        ASSERT_EQ(taken.reason, "LOCK_HELD");
        ASSERT_TRUE(second_.get("kept").ok());
        ASSERT_EQ(second_.lock.holders_size(), 1);
        EXPECT_EQ(second_.lock.holders(0).fencing_token(), lease.fencing_token());
        EXPECT_TRUE(second_.release(lease.lease_id()).ok());
        ASSERT_TRUE(second_.acquire("kept", 1s, 20s).ok());
    }
    EXPECT_GT(second_.lease.fencing_token(), lease.fencing_token());
}

TEST_F(QuorumDrain, WithoutAnotherDaemonItEndsSoonAndTheLeaseStays) {
    two_.process().signal(SIGTERM);
    ASSERT_EQ(two_.process().wait(60s), 0);
    const pb::Lease lease = leave_behind("kept");
    const auto from = Steady::now();
    one_.process().signal(SIGTERM);
    ASSERT_NO_FATAL_FAILURE(expect_drained());
    EXPECT_LT(Steady::now() - from, 20s);  // drain.timeout is 30 s
    EXPECT_NE(one_.log().find("found no other daemon"), std::string::npos) << one_.log();
    const Daemon three{{"--store", url()}, settings()};
    Client client{three.address()};
    EXPECT_TRUE(client.release(lease.lease_id()).ok());
    ASSERT_TRUE(client.acquire("kept", 1s, 10s).ok());
    EXPECT_GT(client.lease.fencing_token(), lease.fencing_token());
}

}  // namespace
}  // namespace holdfast::e2e
