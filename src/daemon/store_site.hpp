#pragma once

// What one shard has of the store, whatever kind of store it is: the port that core uses, and what the
// daemon has to know besides. One implementation for each kind:
//
//   SingleSite   one primary at a time, at a fixed address or where Sentinels say
//   ClusterSite  a Redis Cluster
//   QuorumSite   several independent ones
//
// Used from the shard's thread, but for the constructor, and stop() when that runs no more.

#include "core/lock_store.hpp"
#include "core/timers.hpp"
#include "daemon/checks.hpp"
#include "daemon/logging.hpp"
#include "daemon/readiness.hpp"
#include "daemon/settings.hpp"
#include "redis/pool.hpp"
#include "redis/settings.hpp"
#include "store/redis_lock_store.hpp"
#include "store/replication.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::daemon {

class StoreSite {
public:
    // What it is built on; all of it outlives the site.
    struct Base {
        boost::asio::io_context& context;
        core::TimerQueue& timers;
        const core::Clock& clock;
        Logger logger;
        const Settings& settings;
        redis::Settings where;
        std::string station;
        bool checks = true;  // asks Redis whether it is fit to keep locks: one shard does, for all
    };
    // What it tells, on the shard's thread.
    struct Listener {
        std::function<void(Condition found)> report;  // again and again
        std::function<void(const std::vector<Check>& found)> report_checks;
        std::function<void()> on_up;  // a connection has come up
        std::function<void()>
            on_loss;  // the store has lost its memory: see core::Watchdog::renew_all()
        store::ClockSetListener on_clock_set;
        std::function<void()> on_inbox_moved;  // who listens has to go elsewhere
        std::function<void(std::string_view news, bool is_warning)> on_news;  // for the log
    };

    virtual ~StoreSite() = default;

    virtual void start() = 0;
    virtual void stop() = 0;

    virtual core::LockStore& locks() = 0;
    // For what is the same for all locks: the stations.
    virtual redis::Client& client() = 0;
    // Where to listen for what scripts PUBLISH.
    virtual redis::Settings inbox() const = 0;
    // The same, if several say it all; and how many of them have to, for it to count.
    virtual std::vector<redis::Settings> inboxes() const { return {inbox()}; }
    virtual std::size_t wanted_words() const { return 1; }

    // In microseconds of the store's clock, 0 if it is not known: for what stations tell each other.
    virtual std::int64_t store_time(core::Instant at) const = 0;
    virtual redis::Pool::Status status() const = 0;
    virtual store::ClockSet clock_set() const = 0;
    // How often a primary has moved, as far as was told.
    virtual std::uint64_t moves() const = 0;

    // For replicas.
    virtual store::Replication::Counters waits() const { return {}; }

    // See redis::Pool.
    virtual void authenticate_anew(const std::function<void(std::string_view error)>& refused) = 0;

protected:
    static store::RedisLockStore::Options store_options(const Base& base, const Listener& listener);
    static store::Coexistence coexistence(const Settings& settings);  // as it was checked
    static CheckOptions check_options(const Base& base);
};

// Of the kind that base.where says.
std::unique_ptr<StoreSite> make_store_site(const StoreSite::Base& base,
                                           StoreSite::Listener listener);

}  // namespace holdfast::daemon
