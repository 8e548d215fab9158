// Sentinels that do not know of each other, so that a test decides what each says.

#include "redis/sentinels.hpp"

#include "redis/pool.hpp"
#include "support/redis_process.hpp"
#include "support/sentinel_process.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::RedisProcess;

class SentinelsTest : public testing::Test {
protected:
    // One more Sentinel, which says this.
    void add(const RedisProcess& says) {
        sentinels_.push_back(std::make_unique<test::SentinelProcess>(
            std::vector<std::string>{monitor("sentinel ", says)}));
    }
    // It says this from now on.
    void change(std::size_t sentinel, const RedisProcess& says) {
        sentinels_[sentinel]->run({"SENTINEL", "REMOVE", "m"});
        const std::string port = std::to_string(says.port());
        ASSERT_EQ(sentinels_[sentinel]->run({"SENTINEL", "MONITOR", "m", "127.0.0.1", port, "9"}),
                  "OK");
    }
    void connect(const std::string& master = "m") {
        std::string url = "redis+sentinel://";
        for (const auto& sentinel : sentinels_) {
            url += (url.ends_with('/') ? "" : ",") + sentinel->address();
        }
        Settings settings = *parse_url(url + '/' + master);
        settings.backoff_min = 5ms;
        settings.backoff_max = 20ms;
        settings.connections = 2;
        topology_ = std::make_shared<Sentinels>(
            context_, settings, [this](const auto&, const auto&) { pool_->relocate(); });
        settings.topology = topology_;
        pool_ = std::make_unique<Pool>(context_, settings, [](const ServerInfo*) {});
        topology_->start();
        pool_->start();
    }
    ~SentinelsTest() override {
        if (pool_) {
            pool_->stop();
            topology_->stop();
            context_.restart();
            context_.poll();
        }
    }

    template <class Condition>
    bool run_until(Condition condition) {
        return eventually(
            [&] {
                context_.restart();
                context_.poll();
                return condition();
            },
            20s);
    }
    // Which answers to a command; empty: it did not execute, or nobody knows.
    std::string whom_it_reaches(const RedisProcess& one, const RedisProcess& other) {
        std::optional<Outcome> outcome;
        pool_->send(0,
                    {format_command({"CONFIG", "GET", "port"}),
                     2s,
                     [&](Outcome got) { outcome = std::move(got); },
                     {}});
        EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
        const auto* reply = std::get_if<Reply>(&*outcome);
        if (reply == nullptr) {
            return "";
        }
        const std::string port{reply->value()[1].text()};
        return port == std::to_string(one.port())     ? "one"
               : port == std::to_string(other.port()) ? "other"
                                                      : port;
    }

    RedisProcess one_;
    RedisProcess other_;
    boost::asio::io_context context_{1};
    std::shared_ptr<Sentinels> topology_;
    std::unique_ptr<Pool> pool_;
    std::vector<std::unique_ptr<test::SentinelProcess>> sentinels_;

private:
    static std::string monitor(const std::string& before, const RedisProcess& what) {
        return before + "monitor m 127.0.0.1 " + std::to_string(what.port()) + " 9";
    }
};

TEST_F(SentinelsTest, AStaleOneDoesNotLeadAway) {
    add(other_);
    add(one_);
    add(one_);
    connect();
    ASSERT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    EXPECT_EQ(whom_it_reaches(one_, other_), "one");
}

TEST_F(SentinelsTest, AMoveDropsConnectionsToAPrimaryThatStandsStill) {
    add(one_);
    add(one_);
    connect();
    ASSERT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    one_.process().stop();
    std::optional<Outcome> outcome;
    pool_->send(
        0, {format_command({"PING"}), 60s, [&](Outcome got) { outcome = std::move(got); }, {}});
    context_.restart();
    context_.poll();
    change(1, other_);
    ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
    EXPECT_EQ(std::get<Failure>(*outcome), Failure::unknown_disconnected);
    ASSERT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    EXPECT_EQ(whom_it_reaches(one_, other_), "other");
    EXPECT_EQ(topology_->moves(), 1U);
    one_.process().resume();
}

TEST_F(SentinelsTest, AReplicaIsNotConnectedToUntilItIsAPrimary) {
    one_.run({"REPLICAOF", "127.0.0.1", std::to_string(other_.port())});
    add(one_);
    connect();
    const std::string expected =
        "the primary 127.0.0.1:" + std::to_string(one_.port()) + ": is a replica, and no primary";
    ASSERT_TRUE(run_until([&] { return pool_->status().last_error == expected; }));
    const auto failed = pool_->status().connections.failed_connects;
    ASSERT_TRUE(
        run_until([&] { return pool_->status().connections.failed_connects > failed + 3; }));
    EXPECT_EQ(pool_->status().connections.connects, 0U);
    one_.run({"REPLICAOF", "NO", "ONE"});
    EXPECT_TRUE(run_until([&] { return pool_->status().up == 2; }));
}

TEST_F(SentinelsTest, APrimaryThatBecomesAReplicaIsLeft) {
    add(one_);
    connect();
    ASSERT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    one_.run({"REPLICAOF", "127.0.0.1", std::to_string(other_.port())});
    const auto writes = [&] {
        pool_->send(0, {format_command({"SET", "k", "v"}), 2s, [](const Outcome&) {}, {}});
        pool_->send(1, {format_command({"SET", "k", "v"}), 2s, [](const Outcome&) {}, {}});
        return pool_->status().up == 0;
    };
    EXPECT_TRUE(run_until(writes)) << "READONLY";
    change(0, other_);
    ASSERT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    EXPECT_EQ(whom_it_reaches(one_, other_), "other");
}

TEST_F(SentinelsTest, ASentinelThatStandsStillIsNotWaitedFor) {
    add(one_);
    add(one_);
    sentinels_[0]->process().stop();
    connect();
    EXPECT_TRUE(run_until([&] { return pool_->status().up == 2; }));
    sentinels_[0]->process().resume();
}

TEST_F(SentinelsTest, SaysWhatEachSentinelSays) {
    add(one_);
    add(one_);
    sentinels_[1]->process().kill_and_wait();
    connect("nobody");
    const std::string expected = "no primary known: sentinel " + sentinels_[0]->address() +
                                 " knows no master nobody, " + sentinels_[1]->address() +
                                 " unreachable: Connection refused";
    EXPECT_TRUE(run_until([&] { return pool_->status().last_error == expected; }))
        << pool_->status().last_error;
}

TEST_F(SentinelsTest, ProvesItselfToSentinelsByTheirOwnPassword) {
    add(one_);
    ASSERT_EQ(sentinels_[0]->run({"ACL", "SETUSER", "default", "resetpass", ">s3cret"}), "OK");
    connect();
    ASSERT_TRUE(run_until([&] {
        return pool_->status().last_error.find("NOAUTH") != std::string::npos;
    })) << pool_->status().last_error;

    Settings settings = *parse_url("redis+sentinel://" + sentinels_[0]->address() + "/m");
    settings.sentinels.password = "s3cret";
    Sentinels known{context_, settings, [](const auto&, const auto&) {}};
    known.start();
    EXPECT_TRUE(run_until([&] { return known.primary().has_value(); }));
    known.stop();
    context_.restart();
    context_.poll();
}

}  // namespace
}  // namespace holdfast::redis
