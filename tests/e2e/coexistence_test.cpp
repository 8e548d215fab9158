// Holdfast beside clients that do not know it, on the same names in the same Redis: redis-py's Lock and
// node-redlock, as they are.

#include "history.hpp"
#include "hold_stream.hpp"
#include "support/sentinel_group.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <sstream>
#include <thread>

namespace holdfast::e2e {
namespace {

using Time = Hold::Time;
using testing::HasSubstr;

const std::vector<std::string> kNames{"orders:1", "orders:2"};
constexpr int kSeconds = 8;

Time at_ns(std::int64_t since_boot) {
    return Time{std::chrono::nanoseconds{since_boot}};
}

// Clients of two daemons that take the names in turn.
class OurLoad {
public:
    explicit OurLoad(const std::vector<const Daemon*>& daemons) {
        for (const Daemon* daemon : daemons) {
            for (unsigned seed = 1; seed <= 3; ++seed) {
                threads_.emplace_back([this, daemon, seed] { work(daemon->address(), seed); });
            }
        }
    }
    ~OurLoad() { stop(); }
    void stop() {
        stopping_ = true;
        for (std::thread& thread : threads_) {
            if (thread.joinable()) {
                thread.join();
            }
        }
    }

    History history;

private:
    void work(const std::string& address, unsigned seed) {
        std::minstd_rand random{seed};
        const auto pause = [&] {
            const auto until = Steady::now() + std::chrono::milliseconds{random() % 3};
            eventually([&] { return Steady::now() >= until; });
        };
        Client client{address};
        while (!stopping_) {
            const std::string& name = kNames[random() % kNames.size()];
            const Time asked = Steady::now();
            if (client.acquire(name, 5s, 500ms).ok()) {
                const Time granted = Steady::now();
                const Time believed = client.believe_until();
                pause();
                const Time ended = std::min(Steady::now(), believed);
                history.add(Hold{name, client.lease.fencing_token(), asked, granted, ended});
                client.release(client.lease.lease_id());
            }
            pause();
        }
    }

    std::atomic<bool> stopping_{false};
    std::vector<std::thread> threads_;
};

class Coexistence : public testing::Test {
protected:
    static std::map<std::string, std::string> settings() {
        return {{"HOLDFAST_STORE_COEXIST", "orders:"}};
    }
    static std::string source(const std::string& file) {
        return test::source_file("tests/clients/" + file);
    }
    std::vector<std::string> redis_py(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(),
                         {"/usr/bin/python3", source("python/redis_py.py"), redis_.socket()});
        return arguments;
    }
    static std::vector<std::string> turns(std::vector<std::string> command) {
        command.push_back(std::to_string(kSeconds));
        command.insert(command.end(), kNames.begin(), kNames.end());
        return command;
    }

    // What went wrong while `others` and clients of two daemons took the same names in turn.
    History::Problems together(const std::vector<std::string>& others,
                               const std::map<std::string, std::string>& settings) const {
        const Daemon one{{"--store", redis_.url()}, settings};
        const Daemon two{{"--store", redis_.url()}, settings};
        OurLoad load{{&one, &two}};
        const Outcome theirs = run_program(others);
        EXPECT_EQ(theirs.code, 0) << theirs.output;
        load.stop();
        EXPECT_EQ(load.history.problems(), History::Problems{}) << "among ourselves";
        History all;
        load.history.copy_to(all);
        std::istringstream lines{theirs.output};
        std::string name;
        std::int64_t asked = 0;
        std::int64_t obtained = 0;
        std::int64_t ended = 0;
        while (lines >> name >> asked >> obtained >> ended) {
            all.add(Hold{name, 0, at_ns(asked), at_ns(obtained), at_ns(ended)});
        }
        const std::size_t of_theirs = all.size() - load.history.size();
        EXPECT_GT(load.history.size(), 50U);
        EXPECT_GT(of_theirs, 50U) << theirs.output;
        std::cout << load.history.size() << " holds by Holdfast, " << of_theirs << " by others\n";
        History::Problems overlaps;
        for (const std::string& problem : all.problems()) {
            if (problem.starts_with("overlap")) {  // the others have no tokens
                overlaps.push_back(problem);
            }
        }
        return overlaps;
    }

    // When redis-py obtained the lock.
    Time take_by_redis_py(const std::string& ttl, const std::string& wait) const {
        const Outcome taken = run_program(redis_py({"take", ttl, wait, "orders:1"}));
        EXPECT_EQ(taken.code, 0) << taken.output;
        return at_ns(taken.code == 0 ? std::stoll(taken.output) : 0);
    }

    test::RedisProcess redis_;
};

TEST_F(Coexistence, RedisPyNeverHoldsWhatHoldfastHolds) {
    EXPECT_EQ(together(turns(redis_py({"turns"})), settings()), History::Problems{});
}

TEST_F(Coexistence, WithoutTheSettingTheTestWouldSeeIt) {
    EXPECT_NE(together(turns(redis_py({"turns"})), {}), History::Problems{});
}

// ./dev test has npm fetch the packages.
TEST_F(Coexistence, NodeRedlock) {
    ASSERT_NE(std::getenv("NODE_PATH"), nullptr)
        << "run ./dev test, or set it to where the packages of node/package.json are";
    EXPECT_EQ(together(turns({"node", source("node/redlock.js"), redis_.socket()}), settings()),
              History::Problems{});
}

TEST_F(Coexistence, WhatRedisPyLeavesBehindIsGrantedWhenItEnds) {
    const Daemon daemon{{"--store", redis_.url()}, settings()};
    Client client{daemon.address()};
    const Time taken = take_by_redis_py("2", "0");
    const Answer held = client.acquire("orders:1");
    EXPECT_EQ(held.reason, "LOCK_HELD");
    EXPECT_THAT(held.status.error_message(), HasSubstr("a client of the plain key orders:1"));
    ASSERT_TRUE(client.acquire("orders:1", 10s, 20s).ok());
    EXPECT_GT(Steady::now(), taken + 1900ms);
}

TEST_F(Coexistence, RedisPyGetsWhatAKilledDaemonHeldWhenItsLeaseHasEnded) {
    Daemon daemon{{"--store", redis_.url()}, settings()};
    Client client{daemon.address()};
    ASSERT_TRUE(client.acquire("orders:1", 2s).ok());
    daemon.process().kill_and_wait();
    EXPECT_GT(take_by_redis_py("5", "20"), client.believe_until());
}

TEST_F(Coexistence, AHolderHearsThatTheKeyWasTakenFromUnderIt) {
    const Daemon daemon{{"--store", redis_.url()}, settings()};
    Client client{daemon.address()};
    HoldStream holder{client, Client::request("orders:1", 3s)};
    ASSERT_TRUE(holder.until(Event::kGranted));
    EXPECT_NE(redis_.run({"GET", "orders:1"}).find("holdfast:"), std::string::npos);
    redis_.run({"DEL", "orders:1"});
    take_by_redis_py("30", "0");
    EXPECT_TRUE(holder.until(Event::kLost));
    EXPECT_NE(redis_.run({"GET", "orders:1"}), "(nil)") << "and left alone";
}

TEST_F(Coexistence, NeedsMoreOfTheRedisUserAndSaysWhat) {
    const auto user = [&](std::vector<std::string> changes) {
        changes.insert(changes.begin(), {"ACL", "SETUSER", "holdfast"});
        EXPECT_EQ(redis_.run(changes), "OK");
    };
    user({"on", ">secret", "~hf:*", "~holdfast:*", "&holdfast:*", "+@all", "-pttl", "-del"});
    auto environment = settings();
    environment.insert(
        {{"HOLDFAST_STORE_USERNAME", "holdfast"}, {"HOLDFAST_STORE_PASSWORD", "secret"}});
    const Daemon daemon{{"--store", redis_.url()}, environment, false};
    const auto says = [&](const std::string& what) {
        return eventually([&] { return daemon.log().find(what) != std::string::npos; });
    };
    EXPECT_TRUE(says("keys of locks, or of store.coexist: Redis answered: NOPERM")) << daemon.log();
    user({"~orders:*"});
    EXPECT_TRUE(says("(see config/tls.toml): pttl, del")) << daemon.log();
    user({"+del", "+pttl"});
    ASSERT_TRUE(daemon.wait_serving()) << daemon.log();
    redis_.run({"ACL", "LOG", "RESET"});
    redis_.run({"SET", "orders:2", "theirs"});
    Client client{daemon.address()};
    EXPECT_EQ(client.acquire("orders:2").reason, "LOCK_HELD");
    ASSERT_TRUE(client.acquire("orders:1").ok());
    EXPECT_TRUE(client.release(client.lease.lease_id()).ok());
    EXPECT_EQ(redis_.run({"ACL", "LOG"}), "");
}

TEST(CoexistenceUnderSentinel, TheKeyOutlivesTheFailoverWithItsLease) {
    test::SentinelGroup group;
    const std::size_t from = group.primary();
    const Daemon daemon{
        {"--store", group.url()},
        {{"HOLDFAST_STORE_COEXIST", "orders:"}, {"HOLDFAST_LIMITS_MAX_TTL", "10s"}}};
    Client client{daemon.address()};
    HoldStream holder{client, Client::request("orders:1", 10s, 30s)};
    ASSERT_TRUE(holder.until(Event::kGranted));
    const std::string ours = "holdfast:" + std::to_string(holder.lease.fencing_token());
    for (const std::size_t node : {0, 1, 2}) {
        ASSERT_TRUE(eventually([&] {
            return group.node(node).redis->run({"GET", "orders:1"}) == ours;
        }));
    }
    group.node(from).redis->process().kill_and_wait();
    const auto& now = *group.node(group.await_another(from)).redis;
    const auto others_take = [&] { return now.run({"SET", "orders:1", "theirs", "NX"}); };
    EXPECT_TRUE(eventually([&] { return !others_take().starts_with("READONLY"); }));
    EXPECT_EQ(others_take(), "(nil)");
    // Renewed there, which no key lasts so long without.
    EXPECT_TRUE(eventually([&] { return std::stoi(now.run({"PTTL", "orders:1"})) > 10'500; }, 20s));
    EXPECT_EQ(now.run({"GET", "orders:1"}), ours);
    EXPECT_TRUE(client.release(holder.lease.lease_id()).ok());
    EXPECT_TRUE(holder.until(Event::kReleased));
    EXPECT_EQ(others_take(), "OK");
}

}  // namespace
}  // namespace holdfast::e2e
