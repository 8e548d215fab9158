#pragma once

// Two daemons on a Redis Cluster of three primaries, 0 to 2, with a replica each, 3 to 5.

#include "keeper.hpp"
#include "mixed_load.hpp"
#include "support/record_head.hpp"
#include "support/redis_cluster.hpp"

#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::e2e {

constexpr auto kMaxTtl = 8s;

class Cluster : public testing::Test {
protected:
    explicit Cluster(test::RedisCluster::Options options = {},
                     std::map<std::string, std::string> access = {})
        : access_(std::move(access)), cluster_(std::move(options)) {}

    std::map<std::string, std::string> settings() const {
        std::map<std::string, std::string> all{
            {"HOLDFAST_LIMITS_MAX_TTL", std::to_string(kMaxTtl.count()) + "s"},
            {"HOLDFAST_LIMITS_DEFAULT_TTL", "2s"}};
        all.insert(access_.begin(), access_.end());
        return all;
    }
    static void during(std::chrono::milliseconds time) {
        const auto end = Steady::now() + time;
        eventually([&] { return Steady::now() >= end; }, kPatience);
    }
    // A lock of this node's.
    std::string name_at(std::size_t node, const std::string& begin = "at") const {
        for (int i = 0; i < 10'000; ++i) {
            std::string name = begin + std::to_string(i);
            if (cluster_.owner("hf:" + name) == node) {
                return name;
            }
        }
        throw std::runtime_error("it serves nothing");
    }
    std::string ready_page(const Daemon& daemon) const {
        return http_get(daemon.http_port(), "/readyz");
    }
    void expect_kept(const Keeper& keeper, const std::string& name, std::size_t node, Time since) {
        ASSERT_TRUE(keeper.awaits({Event::kRenewed, Event::kRecovered, Event::kLost}, since));
        EXPECT_FALSE(keeper.heard({Event::kLost}));
        const test::RecordHead head{cluster_.run(node, {"HGET", "hf:" + name, "l"})};
        EXPECT_EQ(head.token, keeper.token);
    }

    static void expect_good(const MixedLoad& load) {
        std::cout << load.summary() << '\n';
        for (const auto& problems : {load.history.problems(), load.history.late_answers(8s)}) {
            for (const auto& problem : problems) {
                ADD_FAILURE() << problem;
            }
        }
    }

    const std::map<std::string, std::string> access_;
    test::RedisCluster cluster_;
    Daemon one_{{"--store", cluster_.url()}, settings()};
    Daemon two_{{"--store", cluster_.url()}, settings()};
};

// A primary that is lost stays lost, and the others go on.
class PartialCluster : public Cluster {
protected:
    PartialCluster()
        : Cluster({.extra = {"--cluster-require-full-coverage",
                             "no",
                             "--cluster-replica-no-failover",
                             "yes"}}) {}
};

}  // namespace holdfast::e2e
