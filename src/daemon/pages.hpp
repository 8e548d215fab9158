#pragma once

// What the HTTP port shows.
//
//   /livez    200 if every shard's thread answers within a second; else 503, and a restart helps
//   /readyz   200 if calls are served, with warnings if there are any, a line each; else 503 with the reasons,
//             and a restart does not help
//   /metrics  Prometheus; shards that do not answer within a second are left out and counted

#include "admin/http_server.hpp"
#include "admin/metrics.hpp"
#include "core/lock_manager.hpp"
#include "daemon/logging.hpp"
#include "daemon/readiness.hpp"
#include "redis/pool.hpp"
#include "store/redis_lock_store.hpp"
#include "store/replication.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

namespace holdfast::daemon {

// What one shard says of itself; read on its thread.
struct ShardReport {
    core::LockManager::Counts locks;
    LogObserver::Totals events;
    redis::Pool::Status store;
    store::ClockSet clock_set;
    std::optional<std::chrono::microseconds> clock_offset;  // of Redis' clock to this machine's
    std::uint64_t primary_moves = 0;                        // that the Sentinels have told of
    store::Replication::Counters waits;
};

// All shards' reports; empty where a shard did not answer in time.
using Survey = std::function<std::vector<std::optional<ShardReport>>()>;

// What is handed over outlives the pages.
admin::Pages make_pages(const Readiness& readiness, const admin::Metrics& metrics, Survey survey);

}  // namespace holdfast::daemon
