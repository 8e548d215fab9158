#pragma once

// QuorumLockStores on Redis processes of the test's own, all driven by the test's thread.

#include "core/clock.hpp"
#include "redis/pool.hpp"
#include "store/quorum_lock_store.hpp"
#include "support/redis_process.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::store {

using namespace std::chrono_literals;

// Where all stores of a test live.
struct Stage {
    core::SystemClock clock;
    boost::asio::io_context context{1};
    core::TimerQueue timers;

    // Waits a little if there is nothing to do.
    void turn() {
        context.restart();
        context.run_one_for(1ms);
        context.poll();
        timers.fire(clock.now());
    }
    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds most = 20s) {
        const core::Instant end = clock.now() + most;
        while (!condition()) {
            if (clock.now() > end) {
                return false;
            }
            turn();
        }
        return true;
    }
    void run_for(std::chrono::milliseconds time) {
        const auto end = clock.now() + time;
        run_until([&] { return clock.now() >= end; }, time + 10s);
    }
};

struct QuorumSetup {
    core::Ttl max_ttl{10s};
    bool assume_new = true;
    std::size_t required = 0;  // 0: a majority
    std::string station = "station1";
    std::function<std::int64_t()> wall_clock;
    std::vector<std::string> names;  // empty: node0, node1, ...
    core::HolderIdSource* ids = nullptr;
    const core::Clock* clock = nullptr;
    core::Duration clock_guard = kClockGuard;
    // What stands between the store and the pool of a node.
    std::function<redis::Client*(std::size_t node, redis::Client& pool)> between;
};

// One daemon's store, and its pools.
class QuorumSide {
public:
    QuorumSide(Stage& where, const std::vector<int>& ports, QuorumSetup setup = {}) : stage(where) {
        std::vector<redis::Client*> clients;
        QuorumLockStore::Options options;
        options.station = setup.station;
        options.wall_clock = setup.wall_clock;
        options.seed = static_cast<std::uint32_t>(std::hash<std::string>{}(setup.station));
        options.nodes.prefix = "hf:";
        options.nodes.max_ttl = setup.max_ttl;
        options.nodes.assume_new = setup.assume_new;
        options.nodes.clock_guard = setup.clock_guard;
        options.nodes.size.nodes = ports.size();
        options.nodes.size.required = setup.required > 0 ? setup.required : ports.size() / 2 + 1;
        for (std::size_t node = 0; node < ports.size(); ++node) {
            redis::Settings settings;
            settings.port = static_cast<std::uint16_t>(ports[node]);
            settings.backoff_min = 10ms;
            settings.backoff_max = 100ms;
            settings.connect_timeout = 500ms;
            pools.push_back(std::make_unique<redis::Pool>(
                stage.context, settings, [this, node](const redis::ServerInfo* server) {
                    if (server != nullptr) {
                        store->nodes().connected_to(node, *server);
                    }
                }));
            clients.push_back(setup.between ? setup.between(node, *pools.back())
                                            : pools.back().get());
            options.nodes.names.push_back(setup.names.empty() ? "node" + std::to_string(node)
                                                              : setup.names[node]);
        }
        store =
            std::make_unique<QuorumLockStore>(clients,
                                              setup.clock != nullptr ? *setup.clock : stage.clock,
                                              stage.timers,
                                              setup.ids != nullptr ? *setup.ids : own_ids,
                                              std::move(options));
        for (const auto& pool : pools) {
            pool->start();
        }
    }
    ~QuorumSide() {
        for (const auto& pool : pools) {
            pool->stop();
        }
        stage.context.restart();
        stage.context.poll();
    }

    QuorumNodes& nodes() { return store->nodes(); }
    bool ready(std::size_t wanted) {
        return stage.run_until([&] {
            if (nodes().taking_part() != wanted && stage.clock.now() > next_look_) {
                next_look_ = stage.clock.now() + 100ms;
                nodes().look(1s, [] {});
            }
            return nodes().taking_part() == wanted;
        });
    }

    template <class Answer, class Start>
    core::StoreResult<Answer> call(Start start) {
        std::optional<core::StoreResult<Answer>> answer;
        start(core::StoreDone<Answer>{[&](core::StoreResult<Answer> got) {
            EXPECT_FALSE(answer) << "answered twice";
            answer = std::move(got);
        }});
        EXPECT_FALSE(answer) << "answered from within the call";
        EXPECT_TRUE(stage.run_until([&] { return answer.has_value(); })) << "no answer";
        return answer ? *std::move(answer)
                      : core::StoreResult<Answer>{tl::unexpected(core::StoreError{})};
    }
    core::StoreResult<core::AcquireAnswer> acquire(const std::string& name,
                                                   const core::Want& want,
                                                   std::chrono::milliseconds timeout = 1s) {
        return call<core::AcquireAnswer>([&](auto done) {
            store->acquire({lock(name), want, timeout}, std::move(done));
        });
    }
    core::StoreResult<core::AcquireAnswer> acquire(const std::string& name,
                                                   char holder,
                                                   std::chrono::milliseconds ttl = 10s) {
        return acquire(name, want(holder, ttl));
    }
    core::Want want(char holder, std::chrono::milliseconds ttl = 10s, char by = 0) {
        return {.holder = id(holder),
                .call = id(by == 0 ? holder : by),
                .ttl = {ttl},
                .arrival = stage.clock.now(),
                .owner = "owner",
                .metadata = "meta"};
    }
    core::FencingToken grant(const std::string& name,
                             char holder,
                             std::chrono::milliseconds ttl = 10s) {
        const auto answer = acquire(name, holder, ttl);
        EXPECT_TRUE(answer && std::holds_alternative<core::Granted>(*answer))
            << (answer ? "not granted" : answer.error().message);
        return answer && std::holds_alternative<core::Granted>(*answer)
                   ? std::get<core::Granted>(*answer).token
                   : core::FencingToken{};
    }
    core::StoreResult<core::ReleaseAnswer> release(const std::string& name,
                                                   char holder,
                                                   core::FencingToken token,
                                                   const std::optional<core::Want>& next = {}) {
        return call<core::ReleaseAnswer>([&](auto done) {
            store->release(lease(name, holder, token), next, 1s, std::move(done));
        });
    }
    core::StoreResult<core::RenewAnswer> renew(const std::string& name,
                                               char holder,
                                               core::FencingToken token,
                                               std::chrono::milliseconds ttl = 10s,
                                               bool held = true) {
        const core::RenewCommand command{lease(name, holder, token), {ttl}, held};
        return call<std::vector<core::RenewAnswer>>([&](auto done) {
                   store->renew(std::span{&command, 1}, 1s, std::move(done));
               })
            .map([](const auto& answers) { return answers.front(); });
    }
    bool renewed(const std::string& name, char holder, core::FencingToken token) {
        const auto answer = renew(name, holder, token);
        return answer && answer->renewed;
    }
    core::StoreResult<std::optional<core::LockState>> inspect(const std::string& name) {
        return call<std::optional<core::LockState>>(
            [&](auto done) { store->inspect(lock(name), 1s, std::move(done)); });
    }

    static core::LockName lock(const std::string& name) { return *core::LockName::parse(name); }
    static core::HolderId id(char letter) {
        core::HolderId holder;
        holder.bytes.fill(letter);
        return holder;
    }
    static core::Lease lease(const std::string& name, char holder, core::FencingToken token) {
        return {lock(name), id(holder), token};
    }

    Stage& stage;
    core::SystemHolderIds own_ids;
    std::vector<std::unique_ptr<redis::Pool>> pools;
    std::unique_ptr<QuorumLockStore> store;

private:
    core::Instant next_look_{};
};

// Some nodes, and one daemon on them.
class QuorumTest : public testing::Test {
protected:
    explicit QuorumTest(std::size_t count = 3) {
        for (std::size_t node = 0; node < count; ++node) {
            redis_.push_back(std::make_unique<test::RedisProcess>());
            ports_.push_back(redis_.back()->port());
        }
    }
    std::unique_ptr<QuorumSide> side(QuorumSetup setup = {}) {
        auto made = std::make_unique<QuorumSide>(stage_, ports_, std::move(setup));
        return made;
    }
    // One that all nodes serve.
    std::unique_ptr<QuorumSide> ready_side(QuorumSetup setup = {}) {
        auto made = side(std::move(setup));
        EXPECT_TRUE(made->ready(ports_.size()));
        return made;
    }

    std::vector<std::unique_ptr<test::RedisProcess>> redis_;
    std::vector<int> ports_;
    Stage stage_;
};

}  // namespace holdfast::store
