// No two holds overlap and tokens go up, whatever happens to Redis and the way to it. Checked from
// what the clients saw.

#include "fixture.hpp"
#include "history.hpp"
#include "support/tcp_gate.hpp"

#include <atomic>
#include <functional>
#include <random>
#include <thread>

namespace holdfast::e2e {
namespace {

using Time = Hold::Time;

// Clients that take, hold and release locks of a few names, until told to stop.
class Load {
public:
    Load(const std::string& address, int clients, int names) {
        for (int i = 0; i < clients; ++i) {
            threads_.emplace_back([this, address, i, names] { work(address, i, names); });
        }
    }
    ~Load() { stop(); }

    void stop() {
        stopping_ = true;
        for (std::thread& thread : threads_) {
            if (thread.joinable()) {
                thread.join();
            }
        }
    }

    History history;
    std::atomic<int> failures{0};
    std::atomic<std::uint64_t> least_safe_for_ms{1'000'000};

private:
    void work(const std::string& address, int number, int names) {
        std::minstd_rand random{static_cast<unsigned>(number) + 1};
        Client client{address};
        while (!stopping_) {
            const std::string name =
                "lock " + std::to_string(random() % static_cast<unsigned>(names));
            const Time asked = Steady::now();
            if (!client.acquire(Client::request(name, 1s, 500ms)).ok()) {
                ++failures;
                continue;
            }
            const Time granted = Steady::now();
            const Time believed = client.believe_until();
            least_safe_for_ms =
                std::min<std::uint64_t>(least_safe_for_ms, client.lease.safe_for_ms());
            const auto work_until = granted + std::chrono::milliseconds{random() % 3};
            eventually([&] { return Steady::now() >= work_until; });
            const Time ended = std::min(Steady::now(), believed);
            history.add(Hold{name, client.lease.fencing_token(), asked, granted, ended});
            client.release(client.lease.lease_id());
        }
    }

    std::atomic<bool> stopping_{false};
    std::vector<std::thread> threads_;
};

void expect_no_problems(const History& history) {
    const auto problems = history.problems();
    for (std::size_t i = 0; i < problems.size() && i < 5; ++i) {
        ADD_FAILURE() << problems[i];
    }
    EXPECT_TRUE(problems.empty()) << problems.size() << " problems";
}

// At the end nobody holds anything, and Redis forgets it all in time.
void expect_nothing_left(const test::RedisProcess& redis, Client& client) {
    EXPECT_TRUE(eventually([&] {
        grpc::ClientContext context;
        pb::ListLocksResponse locks;
        return client.stub().ListLocks(&context, {}, &locks).ok() && locks.locks_size() == 0;
    }));
    EXPECT_EQ(redis.run({"EVAL",
                         "for _, k in ipairs(redis.call('KEYS', 'hf:*')) do "
                         "if redis.call('PTTL', k) < 0 then return k end end return 'all expire'",
                         "0"}),
              "all expire");
}

TEST(P1P7Exclusion, HoldsWhileTheRedisConnectionIsCutEverySecond) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Daemon daemon{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())}};
    Load load{daemon.address(), 64, 8};
    const auto end = Steady::now() + 10s;
    for (auto next = Steady::now() + 1s; Steady::now() < end; next += 1s) {
        eventually([&] { return Steady::now() >= next; });
        gate.cut();
    }
    load.stop();
    EXPECT_GT(load.history.size(), 500U);
    expect_no_problems(load.history);
    RecordProperty("grants", static_cast<int>(load.history.size()));
    gate.cut();
    Client client{daemon.address()};
    EXPECT_TRUE(daemon.wait_serving());
    expect_nothing_left(redis, client);
}

TEST(P1P7Exclusion, HoldsAcrossTwoDaemonsThroughLossyConnections) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Daemon one{{"--store", redis.url()}};
    Daemon two{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())},
               {{"HOLDFAST_STORE_COMMAND_TIMEOUT", "200ms"}}};
    Load first{one.address(), 8, 4};
    Load second{two.address(), 8, 4};
    for (int round = 0; round < 4; ++round) {
        gate.drop_replies(true);
        const auto drop_until = Steady::now() + 300ms;
        eventually([&] { return Steady::now() >= drop_until; });
        gate.drop_replies(false);
        gate.cut();  // what follows a lost reply would be taken for it
        const auto next = Steady::now() + 700ms;
        eventually([&] { return Steady::now() >= next; });
    }
    first.stop();
    second.stop();
    EXPECT_GT(second.history.size(), 20U);
    History both;
    for (const History* part : {&first.history, &second.history}) {
        part->copy_to(both);
    }
    expect_no_problems(both);
    Client client{one.address()};
    expect_nothing_left(redis, client);
}

TEST(P1Fenced, TokensGoUpAcrossFlushallAnEmptyRestartAndScriptFlush) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}, short_memory()};
    Client client{daemon.address()};
    std::uint64_t last = 0;
    const auto next_token = [&] {
        EXPECT_TRUE(eventually([&] { return client.acquire("a", 1s, 5s).ok(); }));
        EXPECT_GT(client.lease.fencing_token(), last);
        last = client.lease.fencing_token();
        client.release(client.lease.lease_id());
    };
    next_token();
    redis.run({"FLUSHALL"});
    next_token();
    redis.run({"SCRIPT", "FLUSH"});
    next_token();
    redis.restart_empty();
    next_token();
}

TEST(P2NeverLies, NothingIsHeldPastItsDeadlineWhenRedisStandsStill) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Load load{daemon.address(), 16, 8};
    for (int round = 0; round < 2; ++round) {
        const auto run_until = Steady::now() + 500ms;
        eventually([&] { return Steady::now() >= run_until; });
        redis.process().stop();
        const auto stand_until = Steady::now() + 2500ms;  // longer than ttl and guard
        eventually([&] { return Steady::now() >= stand_until; });
        redis.process().resume();
    }
    const auto run_until = Steady::now() + 1s;
    eventually([&] { return Steady::now() >= run_until; });
    load.stop();
    EXPECT_GE(load.least_safe_for_ms, 200U) << "a grant that was nearly over";
    EXPECT_GT(load.history.size(), 100U);
    expect_no_problems(load.history);
    Client client{daemon.address()};
    EXPECT_TRUE(daemon.wait_serving());
    expect_nothing_left(redis, client);
}

TEST(P2NeverLies, ADaemonThatStoodStillDoesNotCallOldGrantsHeld) {
    const test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Load load{daemon.address(), 8, 4};
    for (int round = 0; round < 3; ++round) {
        const auto run_until = Steady::now() + 300ms;
        eventually([&] { return Steady::now() >= run_until; });
        daemon.process().stop();
        const auto stand_until = Steady::now() + 1300ms;
        eventually([&] { return Steady::now() >= stand_until; });
        daemon.process().resume();
    }
    const auto run_until = Steady::now() + 1s;
    eventually([&] { return Steady::now() >= run_until; });
    load.stop();
    EXPECT_GT(load.history.size(), 50U);
    expect_no_problems(load.history);
}

}  // namespace
}  // namespace holdfast::e2e
