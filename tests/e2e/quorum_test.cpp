// Daemons on a quorum of three Redis: what clients see while nodes are killed, stopped, slow, or come back
// empty.

#include "hold_stream.hpp"
#include "quorum_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <mutex>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

TEST_F(Quorum, ANodeWhoseClockIsSetForwardIsNamedAndCostsNoLease) {
    const auto one = daemon();
    Client client{one->address()};
    HoldStream hold{client, Client::request("held", kMaxTtl)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    clocks_[1].set(60s);
    EXPECT_TRUE(eventually([&] {
        return one->log().find("the clock of " + node(1) + " was set forward by ") !=
               std::string::npos;
    }));
    EXPECT_GE(one->sample("holdfast_store_clock_steps_total{direction=\"forward\"}"), 1);
    EXPECT_TRUE(hold.until(Event::kRenewed)) << "the others have it";
    EXPECT_EQ(Client{one->address()}.acquire("held", 1s).reason, "LOCK_HELD");
    EXPECT_TRUE(client.acquire("other", 1s).ok());
}

TEST_F(Quorum, EverydayCallsWithOneNodeKilledThenAnotherPaused) {
    const auto one = daemon();
    const auto two = daemon();
    Client client{one->address()};
    Client other{two->address()};
    const Answer first = client.acquire("kept", 2s);
    ASSERT_TRUE(first.ok()) << first.reason << ": " << first.status.error_message() << one->log();
    const pb::Lease kept = client.lease;
    const auto works = [&](const std::string& name) {
        EXPECT_TRUE(client.acquire(name, 2s).ok());
        const auto token = client.lease.fencing_token();
        const Answer held = other.acquire(name, 2s);
        EXPECT_EQ(held.reason, "LOCK_HELD") << name << ": " << held.status.error_message();
        EXPECT_TRUE(other.get(name).ok());
        EXPECT_EQ(other.lock.holders(0).fencing_token(), token);
        EXPECT_TRUE(other.renew(client.lease.lease_id(), 2s).ok());
        EXPECT_TRUE(other.release(client.lease.lease_id()).ok());
        EXPECT_EQ(other.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        EXPECT_TRUE(other.acquire(name, 2s).ok());
        EXPECT_GT(other.lease.fencing_token(), token);
        EXPECT_TRUE(other.renew(kept.lease_id(), 2s).ok());
    };
    works("before");
    nodes_[0]->process().kill_and_wait();
    works("killed");
    EXPECT_TRUE(says(*one, "200", node(0)));
    nodes_[0]->restart_empty();
    EXPECT_TRUE(eventually(
        [&] {
            EXPECT_TRUE(other.renew(kept.lease_id(), 2s).ok());
            // It has the lease, too, from the next renewal on.
            return readyz(*one).find(node(0)) == std::string::npos &&
                   readyz(*two).find(node(0)) == std::string::npos &&
                   nodes_[0]->run({"EXISTS", "hf:kept"}) == "1";
        },
        20s))
        << readyz(*one);
    nodes_[1]->process().stop();
    works("paused");
    nodes_[1]->process().resume();
}

TEST_F(Quorum, AMajorityAwayIsSaidAndServedAgain) {
    const auto one = daemon();
    nodes_[0]->process().stop();
    nodes_[2]->process().stop();
    EXPECT_TRUE(says(*one, "503", "1 of the 3 nodes take part, 2 are needed"));
    EXPECT_THAT(readyz(*one), HasSubstr(node(2)));
    Client client{one->address()};
    const auto reason = client.acquire("a", 2s).reason;
    EXPECT_TRUE(reason == "OUTCOME_UNKNOWN" || reason == "STORE_UNAVAILABLE") << reason;
    nodes_[0]->process().resume();
    nodes_[2]->process().resume();
    EXPECT_TRUE(one->wait_serving());
    EXPECT_TRUE(eventually([&] { return client.acquire("a", 2s).ok(); }));
}

TEST_F(Quorum, ASlowLinkToOneNodeCostsNothing) {
    const auto one = daemon();
    gates_[0]->delay(200ms);  // the one that is asked first where several contend
    Client client{one->address()};
    std::vector<Steady::duration> times;
    for (int i = 0; i < 11; ++i) {
        const auto began = Steady::now();
        EXPECT_TRUE(client.acquire("a" + std::to_string(i), 2s).ok());
        EXPECT_TRUE(client.release(client.lease.lease_id()).ok());
        times.push_back(Steady::now() - began);
    }
    std::sort(times.begin(), times.end());
    EXPECT_LT(times[5], 200ms) << "both calls together, at the median";
}

TEST_F(Quorum, AWaiterAtAnotherDaemonIsWokenByTheRelease) {
    const auto one = daemon();
    const auto two = daemon();
    Client holder{one->address()};
    std::vector<Steady::duration> times;
    for (int i = 0; i < 7; ++i) {
        const std::string name = "a" + std::to_string(i);
        ASSERT_TRUE(holder.acquire(name, 2s).ok());
        Steady::time_point granted;
        std::thread waiting{[&] {
            Client waiter{two->address()};
            EXPECT_TRUE(waiter.acquire(name, 2s, 10s).ok());
            granted = Steady::now();
        }};
        EXPECT_TRUE(
            eventually([&] { return holder.get(name).ok() && holder.lock.waiting() == 1; }));
        const auto released = Steady::now();
        EXPECT_TRUE(holder.release(holder.lease.lease_id()).ok());
        waiting.join();
        times.push_back(granted - released);
    }
    std::sort(times.begin(), times.end());
    EXPECT_LT(times[3], 400ms) << "it was found by the poll, a second later";
}

TEST_F(Quorum, TwentyClientsOfTwoDaemonsWhileNodesComeAndGo) {
    const auto one = daemon();
    const auto two = daemon();
    struct Held {
        std::uint64_t token;
        Steady::time_point asked, told, until;
    };
    std::mutex mutex;
    std::vector<Held> all;
    std::atomic<bool> over{false};
    std::vector<std::thread> clients;
    for (int i = 0; i < 20; ++i) {
        clients.emplace_back([&, i] {
            Client client{(i % 2 == 0 ? *one : *two).address()};
            while (!over) {
                const auto asked = Steady::now();
                if (!client.acquire("hot", 1s, 3s).ok()) {
                    continue;
                }
                Held held{
                    client.lease.fencing_token(), asked, Steady::now(), client.believe_until()};
                held.until = std::min(held.until, Steady::now());  // it stops before it releases
                client.release(client.lease.lease_id());
                const std::lock_guard lock{mutex};
                all.push_back(held);
            }
        });
    }
    const auto grants = [&] {
        const std::lock_guard lock{mutex};
        return all.size();
    };
    const auto goes_on = [&](const char* when) {
        const auto before = grants();
        EXPECT_TRUE(eventually([&] { return grants() >= before + 20; }, 30s)) << when;
    };
    goes_on("at first");
    nodes_[0]->process().stop();
    goes_on("one stands still");
    nodes_[0]->process().resume();
    goes_on("it goes on");
    nodes_[1]->process().kill_and_wait();
    goes_on("one is killed");
    nodes_[1]->restart_empty();
    goes_on("it is empty");
    EXPECT_TRUE(eventually([&] { return readyz(*one).find(node(1)) == std::string::npos; }, 20s));
    gates_[2]->cut();
    goes_on("links break");
    over = true;
    for (auto& client : clients) {
        client.join();
    }
    std::sort(all.begin(), all.end(), [](const Held& a, const Held& b) { return a.told < b.told; });
    for (std::size_t i = 1; i < all.size(); ++i) {
        EXPECT_GE(all[i].told, all[i - 1].until);
        if (all[i].asked >= all[i - 1].told) {
            EXPECT_GT(all[i].token, all[i - 1].token);
        }
    }
    std::sort(
        all.begin(), all.end(), [](const Held& a, const Held& b) { return a.token < b.token; });
    EXPECT_EQ(std::adjacent_find(all.begin(),
                                 all.end(),
                                 [](const Held& a, const Held& b) { return a.token == b.token; }),
              all.end());
    std::cout << all.size() << " grants\n";
}

TEST_F(Quorum, AHeldLockOutlivesARollingRestartOfEmptyNodes) {
    const auto one = daemon();
    Client client{one->address()};
    HoldStream held{client, Client::request("kept", 2s)};
    ASSERT_TRUE(held.until(Event::kGranted));
    const auto token = held.lease.fencing_token();
    for (std::size_t which = 0; which < nodes_.size(); ++which) {
        nodes_[which]->restart_empty();
        EXPECT_TRUE(eventually(
            [&] {
                return nodes_[which]->run({"HGET", "hf:kept", "k"}).find(std::to_string(token)) !=
                       std::string::npos;
            },
            20s))
            << "it was not put back at node " << which;
    }
    Client other{one->address()};
    ASSERT_TRUE(other.get("kept").ok());
    EXPECT_EQ(other.lock.holders(0).fencing_token(), token);
    EXPECT_TRUE(other.release(held.lease.lease_id()).ok());
    EXPECT_TRUE(held.until(Event::kReleased)) << "it was lost on the way";
}

TEST_F(Quorum, AReleaseAtAnotherDaemonEndsTheHold) {
    const auto one = daemon();
    const auto two = daemon();
    Client client{one->address()};
    HoldStream held{client, Client::request("a", 2s)};
    ASSERT_TRUE(held.until(Event::kGranted));
    Client other{two->address()};
    EXPECT_TRUE(other.release(held.lease.lease_id()).ok());
    EXPECT_TRUE(held.until(Event::kReleased));
}

TEST_F(Quorum, SharedLocksAndPermitsAreRefused) {
    const auto one = daemon();
    Client client{one->address()};
    auto request = Client::request("a", 2s);
    request.set_mode(pb::MODE_SHARED);
    const Answer answer = client.acquire(request);
    EXPECT_EQ(answer.reason, "MODE_CONFLICT");
    EXPECT_THAT(answer.status.error_message(), HasSubstr("exclusive locks only"));
    request.set_mode(pb::MODE_PERMIT);
    request.set_permits(1);
    request.set_limit(2);
    EXPECT_EQ(client.acquire(request).reason, "MODE_CONFLICT");
}

// Nothing is settled while it waits for a node's answer: others could come first, with other nodes.
TEST_F(Quorum, DoesNotServeWhileNoNodeHasBegun) {
    gates_[2]->hold_replies(true);
    const Daemon one{{"--store", url()}, settings(), false};
    // The page before and after, as it is for a few seconds only.
    const auto settling = [&] { return readyz(one).find("it is empty;") != std::string::npos; };
    EXPECT_TRUE(eventually([&] {
        const bool before = settling();
        const bool serves = one.serving();
        const bool seen = before && settling();
        EXPECT_FALSE(seen && serves);
        return seen;
    }));
}

// Two that are empty cannot know what the third has granted.
TEST_F(Quorum, ANodeThatIsAwayAtTheVeryStartIsWaitedFor) {
    gates_[2]->refuse(true);
    const Daemon one{{"--store", url()}, settings(), false};
    EXPECT_TRUE(says(one, "503", "from the others where tokens have got to, and 2 of them have to"))
        << one.log();
    EXPECT_TRUE(says(one, "503", node(2))) << one.log();
    EXPECT_FALSE(Client{one.address()}.acquire("a", 1s).ok());
    gates_[2]->refuse(false);
    EXPECT_TRUE(one.wait_serving()) << one.log();
    EXPECT_TRUE(Client{one.address()}.acquire("a", 1s, 5s).ok());
}

TEST_F(Quorum, ADaemonWithOtherNodesDoesNotStart) {
    const auto one = daemon();
    // It serves with two of them, and the third is to know whose it is, too.
    ASSERT_TRUE(eventually([&] {
        return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
            return node->run({"KEYS", "*quorum*"}).find("quorum") != std::string::npos;
        });
    }));
    const test::RedisProcess stranger;
    const auto outcome = run_program({program("holdfastd"),
                                      "--listen",
                                      "127.0.0.1:0",
                                      "--admin",
                                      "",
                                      "--store",
                                      "redis+quorum://" + node(0) + "," + node(1) +
                                          ",127.0.0.1:" + std::to_string(stranger.port())},
                                     settings());
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.output, HasSubstr("store.url must name the same nodes"));
    EXPECT_THAT(outcome.output, HasSubstr(node(2)));
}

TEST_F(Quorum, RunHoldsTheLockWhileTheCommandRuns) {
    const auto one = daemon();
    const auto outcome = run_program({program("holdfast"),
                                      "--server",
                                      one->address(),
                                      "run",
                                      "job",
                                      "--ttl",
                                      "1s",
                                      "--",
                                      "sh",
                                      "-c",
                                      "echo token $HOLDFAST_TOKEN; exit 7"});
    EXPECT_EQ(outcome.code, 7);
    EXPECT_THAT(outcome.output, HasSubstr("token 1"));
    EXPECT_TRUE(Client{one->address()}.acquire("job", 2s).ok());
}

}  // namespace
}  // namespace holdfast::e2e
