// What Redis and the core can do without gRPC.

#include "bench/loads.hpp"
#include "cli/load_report.hpp"
#include "core/lock_manager.hpp"
#include "core/shard.hpp"
#include "redis/pool.hpp"
#include "store/lua_scripts.hpp"
#include "store/redis_lock_store.hpp"
#include "support/no_feed.hpp"
#include "support/process.hpp"

#include <hiredis/hiredis.h>

#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::size_t kIdBytes = sizeof(core::HolderId::bytes);
const std::string kStation = "benchers";
const std::string kCanaryKey = "bench:canary";
const std::string kRetention = "86400000";
// No beat, of a Redis without an incarnation: see lua/_memory.lua.
const std::string kKnown(16 + 3, '0');

using Reply = std::unique_ptr<redisReply, void (*)(void*)>;

// Acquire and release in turn on one connection. What gathers is written when all replies are read.
class Pipeline {
public:
    Pipeline(const std::string& socket, std::size_t slots)
        : context_(redisConnectUnix(socket.c_str()), redisFree), slots_(slots) {
        if (!context_ || context_->err != 0) {
            throw std::runtime_error("cannot connect to " + socket);
        }
        // No time for it to be closed, max_ttl, no beats.
        command({"SET", kCanaryKey, std::string(16 + 10 + 3 + std::size_t{60} * 16, '0')});
        acquire_sha_ = command({"SCRIPT", "LOAD", std::string{store::kLua_acquire}})->str;
        release_sha_ = command({"SCRIPT", "LOAD", std::string{store::kLua_release}})->str;
        const std::string prefix = "bench:" + std::to_string(std::random_device{}()) + ":";
        for (std::size_t i = 0; i < slots; ++i) {
            slots_[i].key = prefix + std::to_string(i);
            slots_[i].holder = std::string(kIdBytes, 'h');
        }
    }

    cli::LoadResult run(Milliseconds duration) {
        cli::LoadResult result;
        result.kinds.resize(2);
        const auto start = Clock::now();
        const auto end = start + duration;
        for (Slot& slot : slots_) {
            acquire(slot);
        }
        for (std::size_t i = 0; Clock::now() < end; i = (i + 1) % slots_.size()) {
            Slot& slot = slots_[i];  // replies come in the order of commands
            const Reply reply = next();
            if (reply->type != REDIS_REPLY_ARRAY || reply->element[0]->integer != 1) {
                throw std::runtime_error("a script did not do as it should");
            }
            result.kinds[slot.held ? 1 : 0].add(Clock::now() - slot.begun);
            slot.held = !slot.held;
            if (slot.held) {
                release(slot, std::to_string(reply->element[2]->integer));
            } else {
                acquire(slot);
            }
        }
        result.elapsed = Clock::now() - start;
        for (auto& kind : result.kinds) {
            kind.sort();
        }
        return result;
    }

private:
    struct Slot {
        std::string key;
        std::string holder;
        bool held = false;
        Clock::time_point begun;
    };

    void send(const std::vector<std::string>& arguments) {
        std::vector<const char*> texts;
        std::vector<std::size_t> sizes;
        for (const std::string& argument : arguments) {
            texts.push_back(argument.data());
            sizes.push_back(argument.size());
        }
        redisAppendCommandArgv(
            context_.get(), static_cast<int>(texts.size()), texts.data(), sizes.data());
    }
    Reply next() {
        void* reply = nullptr;
        if (redisGetReply(context_.get(), &reply) != REDIS_OK) {
            throw std::runtime_error("the connection to Redis broke");
        }
        return {static_cast<redisReply*>(reply), freeReplyObject};
    }
    Reply command(const std::vector<std::string>& arguments) {
        send(arguments);
        Reply reply = next();
        if (reply->type == REDIS_REPLY_ERROR) {
            throw std::runtime_error(reply->str);
        }
        return reply;
    }

    // As RedisLockStore sends it for a client that does not wait.
    void acquire(Slot& slot) {
        const std::uint64_t id = ++last_id_;
        slot.holder.replace(0, sizeof(id), reinterpret_cast<const char*>(&id), sizeof(id));
        slot.begun = Clock::now();
        send({"EVALSHA",
              acquire_sha_,
              "2",
              slot.key,
              kCanaryKey,
              "9999999999999999",
              kKnown,
              kStation,
              "0",
              kRetention,
              slot.holder,
              slot.holder,
              "33020000",
              "bench",
              "",
              "1700000000000000",
              ""});
    }
    void release(Slot& slot, const std::string& token) {
        slot.begun = Clock::now();
        send({"EVALSHA",
              release_sha_,
              "2",
              slot.key,
              kCanaryKey,
              slot.holder,
              token,
              kStation,
              kRetention,
              kKnown});
    }

    std::unique_ptr<redisContext, void (*)(redisContext*)> context_;
    std::vector<Slot> slots_;
    std::string acquire_sha_;
    std::string release_sha_;
    std::uint64_t last_id_ = 0;
};

class Silent final : public core::Observer {
    void lease_at_risk(const core::Lease&, std::string_view) override {}
    void lease_recovered(const core::Lease&) override {}
    void lease_lost(const core::Lease&, core::LossCause) override {}
    void outcome_unknown(const core::LockName&) override {}
};

// One shard as the daemon has it, and waiters that all want one lock.
class Inside {
public:
    explicit Inside(const std::string& url)
        : pool_(shard_.context(),
                *redis::parse_url(url),
                [this](const redis::ServerInfo* server) {
                    if (server != nullptr) {
                        store_.canary().connected_to(*server);
                    }
                }),
          store_(pool_, clock_, options()),
          manager_(clock_, shard_.timers(), store_, ids_, observer_, feed_, {}) {}

    cli::LoadResult run(std::size_t waiters, Milliseconds duration) {
        shard_.start(manager_);
        shard_.post([this](auto&) { pool_.start(); });
        if (!test::eventually([this] { return ready(); })) {
            throw std::runtime_error("no connection to Redis");
        }
        shard_.post([this, waiters](auto&) {
            for (std::size_t i = 0; i < waiters; ++i) {
                acquire();
            }
        });
        const auto start = Clock::now();
        std::this_thread::sleep_for(duration);
        std::promise<cli::LoadResult> told;
        shard_.post([&](auto&) {
            result_.elapsed = Clock::now() - start;
            told.set_value(result_);
        });
        cli::LoadResult result = told.get_future().get();
        result.kinds.front().sort();
        return result;
    }

private:
    static store::RedisLockStore::Options options() {
        store::RedisLockStore::Options options;
        options.canary.assume_new = true;
        options.station = kStation;
        return options;
    }

    bool ready() {
        std::promise<bool> told;
        shard_.post([&](auto&) { told.set_value(store_.canary().watches()); });
        return told.get_future().get();
    }

    void acquire() {
        core::AcquireRequest request{.name = lock_, .ttl = {30s}};
        request.wait = 30s;
        request.owner = "bench";
        request.received_at = clock_.now();
        manager_.acquire(std::move(request), [this](core::Result<core::Grant> grant) {
            if (!grant) {
                std::cerr << grant.error().message << '\n';
                std::_Exit(1);
            }
            result_.kinds.front().add(Clock::now() - let_go_);
            // From the loop, as what comes from a client.
            shard_.post([this, lease = std::move(grant->lease)](auto&) { release(lease); });
        });
    }
    void release(const core::Lease& lease) {
        let_go_ = Clock::now();
        manager_.release(lease, core::kNever, [this](const auto&) {
            shard_.post([this](auto&) { acquire(); });
        });
    }

    core::SystemClock clock_;
    core::Shard shard_{clock_};
    redis::Pool pool_;
    store::RedisLockStore store_;
    core::SystemHolderIds ids_;
    Silent observer_;
    test::NoFeed feed_;
    core::LockManager manager_;
    const core::LockName lock_ =
        *core::LockName::parse("bench-" + std::to_string(std::random_device{}()));
    Clock::time_point let_go_ = Clock::now();
    cli::LoadResult result_{.kinds = std::vector<cli::LoadResult::Kind>(1)};
};

}  // namespace

void load_redis(const std::vector<std::string>& words) {
    Pipeline pipeline{words.at(0), std::stoul(words.at(1))};
    std::cout << cli::to_json(pipeline.run(Milliseconds{std::stol(words.at(2))}),
                              {"acquire", "release"});
}

void load_inside(const std::vector<std::string>& words) {
    auto inside = std::make_unique<Inside>(words.at(0));
    std::cout << cli::to_json(
                     inside->run(std::stoul(words.at(1)), Milliseconds{std::stol(words.at(2))}),
                     {"hand_on"})
              << std::flush;
    std::_Exit(0);  // as the waiters go on
}

}  // namespace holdfast::bench
