// Each topology that Redis is run in, as real processes: what it serves beside a lone Redis, and for how long
// it does not when its primary is killed.
//
// Everything shares this machine's cores, which the nodes of a topology have for themselves elsewhere: the
// throughput says what the machine's work is worth. What the failover takes is mostly what the topology and
// the daemon are told to wait: the Sentinels' down-after-milliseconds, the cluster's node timeout, and after that
// limits.max_ttl until something new is granted.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "cli/text.hpp"
#include "support/redis_cluster.hpp"
#include "support/sentinel_group.hpp"

#include <atomic>
#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace holdfast::bench {
namespace {

using e2e::Steady;
using Environment = std::map<std::string, std::string>;

constexpr auto kMaxTtl = 5s;
constexpr auto kPatience = 60s;
constexpr std::size_t kClients = 64;

// One topology with a daemon on it.
class Site {
public:
    explicit Site(std::string title) : name(std::move(title)) {}
    virtual ~Site() = default;
    // Kills a node: the primary, where there is one.
    virtual void break_it() = 0;

    void start(const std::string& store, const Environment& environment = {}) {
        url_ = store;
        environment_ = environment;
        launch({});
    }
    // Another deployment on the same Redis, where the wait for what was lost is short.
    void start_again() {
        launch({{"HOLDFAST_STORE_PREFIX", "short:"},
                {"HOLDFAST_LIMITS_MAX_TTL", std::to_string(kMaxTtl.count()) + "s"},
                {"HOLDFAST_LIMITS_DEFAULT_TTL", std::to_string(kMaxTtl.count()) + "s"}});
    }
    std::string address() const { return daemon_->address(); }
    Round run(Milliseconds duration) {
        return run_load({test::program("holdfast"),
                         "--server",
                         daemon_->address(),
                         "-o",
                         "json",
                         "bench",
                         "--clients",
                         std::to_string(kClients),
                         "--duration",
                         std::to_string(duration.count()) + "ms"},
                        {{daemon_->process().pid()}, {daemon_.get()}, nullptr});
    }

    const std::string name;

private:
    void launch(Environment environment) {
        environment.insert(environment_.begin(), environment_.end());
        daemon_.reset();
        daemon_ = std::make_unique<e2e::Daemon>(
            std::vector<std::string>{"--store", url_, "--log-level", "error"}, environment);
    }

    std::string url_;
    Environment environment_;
    std::unique_ptr<e2e::Daemon> daemon_;
};

class Alone final : public Site {
public:
    Alone() : Site("one Redis, restarted empty") {
        start("redis://127.0.0.1:" + std::to_string(redis_.port()));
    }
    void break_it() override { redis_.restart_empty(); }

private:
    test::RedisProcess redis_;
};

class UnderSentinel final : public Site {
public:
    explicit UnderSentinel(const std::string& safety)
        : Site("Sentinel, 2 replicas (by gates), " + safety) {
        start(group_.url(), {{"HOLDFAST_STORE_SAFETY", safety}, {"HOLDFAST_STORE_REPLICAS", "2"}});
    }
    void break_it() override { group_.node(group_.primary()).redis->process().signal(SIGKILL); }

private:
    test::SentinelGroup group_;
};

class InCluster final : public Site {
public:
    InCluster() : Site("Cluster, 3 primaries and 3 replicas, safe") { start(cluster_.url()); }
    // That of the lock that is held.
    void break_it() override {
        cluster_.node(cluster_.owner("short:held")).process().signal(SIGKILL);
    }

private:
    test::RedisCluster cluster_{{}};
};

class OnQuorum final : public Site {
public:
    explicit OnQuorum(std::size_t nodes)
        : Site("quorum of " + std::to_string(nodes)), nodes_(nodes) {
        std::string url = "redis+quorum://";
        for (const test::RedisProcess& node : nodes_) {
            url +=
                (&node == nodes_.data() ? "" : ",") + ("127.0.0.1:" + std::to_string(node.port()));
        }
        start(url);
    }
    void break_it() override { nodes_.front().process().signal(SIGKILL); }

private:
    std::vector<test::RedisProcess> nodes_;
};

// Calls over and over, and how long at most none of them succeeded.
class Prober {
public:
    // `call` says whether it did.
    explicit Prober(std::function<bool()> call)
        : thread_([this, call = std::move(call)] {
              auto last = Steady::now();
              while (!stop_) {
                  if (call()) {
                      const auto now = Steady::now();
                      longest_ = std::max(longest_.load(), now - last);
                      last = now;
                      ++successes_;
                  }
                  std::this_thread::sleep_for(5ms);
              }
          }) {}
    ~Prober() { stop(); }

    void stop() {
        stop_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    std::size_t successes() const { return successes_; }
    double longest() const { return std::chrono::duration<double>(longest_.load()).count(); }

private:
    std::atomic<bool> stop_ = false;
    std::atomic<Steady::duration> longest_{};
    std::atomic<std::size_t> successes_ = 0;
    std::thread thread_;
};

struct Outage {
    double without_renewals = 0;  // s
    double without_grants = 0;
    bool kept = false;  // the lease that was held all the while
};

Outage break_one(Site& site) {
    site.start_again();
    e2e::Client holder{site.address()};
    e2e::Client taker{site.address()};
    if (!holder.acquire("held", kMaxTtl).ok()) {
        throw std::runtime_error(site.name + ": no lock to hold");
    }
    std::atomic<bool> lost = false;
    Prober renewals{[&] {
        const auto answer = holder.renew(holder.lease.lease_id(), kMaxTtl);
        lost = lost || answer.reason == "LEASE_LOST" || answer.reason == "NOT_FOUND";
        return answer.ok();
    }};
    std::size_t taken = 0;
    Prober grants{[&] {
        // In a Cluster, in the slot of the lock that is held.
        auto request = e2e::Client::request("{short:held} " + std::to_string(++taken), 1s);
        return taker.acquire(request, 1s).ok() && taker.release(taker.lease.lease_id()).ok();
    }};
    const auto go_on = [&](const Prober& prober) {
        const std::size_t before = prober.successes();
        return test::eventually([&] { return prober.successes() > before + 20; }, kPatience);
    };
    go_on(grants);
    site.break_it();
    // A grant that was under way may yet succeed: those that count come after the outage.
    std::this_thread::sleep_for(kMaxTtl);
    if (!go_on(grants)) {
        throw std::runtime_error(site.name + ": nothing is granted any more");
    }
    renewals.stop();
    grants.stop();
    return {renewals.longest(), grants.longest(), !lost};
}

}  // namespace

void measure_topologies() {
    std::vector<std::unique_ptr<Site>> sites;
    sites.push_back(std::make_unique<Alone>());
    for (const char* safety : {"async", "safe", "strict"}) {
        sites.push_back(std::make_unique<UnderSentinel>(safety));
    }
    sites.push_back(std::make_unique<InCluster>());
    sites.push_back(std::make_unique<OnQuorum>(3));
    sites.push_back(std::make_unique<OnQuorum>(5));
    std::vector<Subject> subjects;
    for (const auto& site : sites) {
        subjects.push_back({site->name, [&site](auto time) { return site->run(time); }});
    }
    run_rounds(subjects, 1s);
    show("TOPOLOGIES, 64 CLIENTS", subjects);

    std::vector<std::vector<std::string>> rows{
        {"ONE NODE KILLED, MAX_TTL 5 s", "S WITHOUT RENEWALS", "S WITHOUT GRANTS", "LEASE KEPT"}};
    for (auto& site : sites) {
        const Outage outage = break_one(*site);
        rows.push_back({site->name,
                        outage.kept ? number(outage.without_renewals, 2) : "-",
                        number(outage.without_grants, 2),
                        outage.kept ? "yes" : "no"});
        site.reset();  // the next has the machine for itself
    }
    std::cout << cli::show_table(rows) << std::endl;
}

}  // namespace holdfast::bench
