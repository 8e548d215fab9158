#pragma once

// What a shard needs to have replicas of the store acknowledge what it writes: two connections of their own,
// made when they are first used, and the store that waits for them. In strict mode,
// also: whether a majority acknowledges, asked each second.

#include "daemon/readiness.hpp"
#include "daemon/settings.hpp"
#include "redis/pool.hpp"
#include "store/durable_store.hpp"
#include "store/redis_lock_store.hpp"

#include <array>
#include <functional>
#include <memory>
#include <string>

namespace holdfast::daemon {

class Durability {
public:
    // `on_other_primary`: a connection leads to another one than when it was made.
    Durability(boost::asio::io_context& context,
               const redis::Settings& where,
               const core::Clock& clock,
               core::TimerQueue& timers,
               store::RedisLockStore& store,
               const Settings::Store& settings,
               std::function<void()> on_other_primary);

    core::LockStore& store() { return durable_; }
    const store::Replication::Counters& counters() const { return replication_.counters(); }

    void stop();
    void relocate();
    void authenticate_anew(const std::function<void(std::string_view error)>& refused);

    // For Canary::Options::await_majority.
    void await_majority(std::string incarnation, std::function<void(bool)> done);
    // What was found of the store, and in strict mode of its replicas; asks anew.
    Condition with_replicas(Condition found);

private:
    std::unique_ptr<redis::Pool> line(std::size_t number);
    std::array<store::Replication::Line, store::Replication::kLanes> lines();

    boost::asio::io_context& context_;
    redis::Settings where_;
    store::RedisLockStore& plain_;
    std::size_t majority_;  // of replicas, in strict mode; else 0
    std::array<std::unique_ptr<redis::Pool>, store::Replication::kLanes> pools_;
    store::Replication replication_;
    store::DurableStore durable_;
    bool asking_ = false;
    std::string short_of_;  // why nothing can be granted; empty: a majority acknowledges
};

// What a client may ask of this store.
core::Limits limits_of(const Settings& settings);

}  // namespace holdfast::daemon
