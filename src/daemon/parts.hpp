#pragma once

// One shard of a daemon and all that lives on its thread. Of daemon.cpp alone.

#include "core/shards.hpp"
#include "daemon/daemon.hpp"
#include "daemon/handover.hpp"
#include "daemon/store_probe.hpp"
#include "redis/subscriber.hpp"
#include "store/redis_lock_store.hpp"
#include "store/redis_peers.hpp"
#include "store/watch_channels.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace holdfast::daemon {

// As many as were asked for; 0: by the machine.
inline std::size_t by_machine(std::size_t wanted) {
    return wanted > 0 ? wanted : std::max<std::size_t>(1, std::thread::hardware_concurrency() / 2);
}

inline core::LockManager::Options manager_options(const Settings& settings) {
    core::LockManager::Options options;
    options.command_timeout = settings.store.command_timeout;
    options.max_ttl = settings.limits.max_ttl;
    options.default_ttl = settings.limits.default_ttl;
    options.max_waiters_per_lock = settings.limits.max_waiters_per_lock;
    options.max_waiters =
        std::max<std::size_t>(1, settings.limits.max_waiters / by_machine(settings.server.shards));
    options.seed = std::random_device{}();
    return options;
}

// Eight letters and digits at random: no two shards of any daemons on one store have the same.
inline std::string new_station(core::HolderIdSource& ids) {
    constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
    constexpr std::size_t kLength = 8;
    const core::HolderId random = ids.next();
    std::string station;
    for (const char byte : random.view().substr(0, kLength)) {
        station += kAlphabet[static_cast<unsigned char>(byte) % kAlphabet.size()];
    }
    return station;
}

// Destroyed in reverse: what uses before what is used.
struct Daemon::Parts {
    Parts(Daemon& daemon,
          std::size_t number,
          const redis::Settings& where,
          const core::Clock& clock,
          StoreProbe::Report report)
        : index(number),
          shard(std::make_unique<core::Shard>(clock)),
          pool(shard->context(), where, [this](const auto* server) { on_link(server); }),
          station(new_station(ids)),
          store(pool,
                clock,
                {daemon.settings_.store.prefix,
                 daemon.settings_.store.retention,
                 {daemon.settings_.limits.max_ttl,
                  daemon.settings_.store.assume_new,
                  daemon.settings_.store.safety == "async"},
                 station}),
          inbox(std::make_shared<redis::Subscriber>(
              shard->context(),
              where,
              where.seed + 1,
              [this](auto, std::string_view payload) { on_notice(payload); },
              [this](bool again) { manager.watchers().listening(again); })),
          feed(store, *inbox),
          observer(daemon.logger_, clock),
          manager(clock,
                  shard->timers(),
                  store,
                  ids,
                  observer,
                  feed,
                  manager_options(daemon.settings_)),
          probe(pool,
                store.canary(),
                clock,
                shard->timers(),
                daemon.settings_.store.command_timeout,
                std::move(report)),
          peers(pool,
                clock,
                shard->timers(),
                ids,
                {daemon.settings_.store.prefix,
                 station,
                 daemon.name_,
                 daemon.settings_.store.command_timeout,
                 where.seed + 2},
                {[this, &daemon](const auto& question) { return daemon.answer(*this, question); },
                 [this, &daemon](auto offer) { daemon.adopt(*this, std::move(offer)); },
                 [this](core::Instant at) { return store.store_time(at); }}),
          handover(clock, shard->timers(), manager, store, peers) {
        inbox->subscribe(store::RedisLockStore::channel_of(station));
    }

    void on_link(const redis::ServerInfo* server) {
        if (server != nullptr) {
            store.canary().connected_to(*server);
            peers.start();
        }
        probe.probe();
    }

    // What another daemon's command did for us.
    void on_notice(std::string_view payload) {
        if (const auto notice = store.parse_notice(payload)) {
            switch (notice->kind) {
                case store::Notice::Kind::freed:
                    manager.freed(notice->name);
                    break;
                case store::Notice::Kind::ended:
                    manager.ended(notice->holder);
                    break;
                case store::Notice::Kind::moved:
                    manager.moved(notice->holder);
                    break;
                case store::Notice::Kind::revoked:
                    manager.revoked(notice->holder, notice->how, notice->closes_in, notice->reason);
                    break;
                case store::Notice::Kind::changed:
                    manager.watchers().changed(notice->name);
                    break;
            }
        } else {
            peers.heard(payload);
        }
    }

    const std::size_t index;
    std::unique_ptr<core::Shard> shard;  // moves to Shards, which outlives this
    core::SystemHolderIds ids;
    redis::Pool pool;
    std::string station;
    store::RedisLockStore store;
    std::shared_ptr<redis::Subscriber> inbox;
    store::WatchChannels feed;
    LogObserver observer;
    core::LockManager manager;
    StoreProbe probe;
    store::RedisPeers peers;
    Handover handover;
};

}  // namespace holdfast::daemon
