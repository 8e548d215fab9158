#pragma once

// One shard of a daemon and all that lives on its thread. Of daemon.cpp alone.

#include "core/shards.hpp"
#include "daemon/daemon.hpp"
#include "daemon/handover.hpp"
#include "daemon/store_probe.hpp"
#include "daemon/store_site.hpp"
#include "store/inbox.hpp"
#include "store/notices.hpp"
#include "store/redis_peers.hpp"
#include "store/watch_channels.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
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
          const redis::Settings& given,
          const core::Clock& clock,
          StoreProbe::Report report)
        : index(number),
          shard(std::make_unique<core::Shard>(clock)),
          station(new_station(ids)),
          notices(daemon.settings_.store.prefix),
          store(make_store_site({shard->context(),
                                 shard->timers(),
                                 clock,
                                 daemon.logger_,
                                 daemon.settings_,
                                 given,
                                 station,
                                 index == 0},
                                listener(daemon, std::move(report)))),
          inbox(std::make_unique<store::Inbox>(
              shard->context(),
              clock,
              store->inboxes(),
              store->wanted_words(),
              given.seed + 1,
              // What the store says counts when it does; the word of a daemon, at once.
              [this](auto payload) { return notices.parse(payload) ? store->wanted_words() : 1; },
              [this](auto, std::string_view payload) { on_notice(payload); },
              [this](bool again) { manager.watchers().listening(again); })),
          feed(notices, *inbox),
          observer(daemon.logger_, clock),
          manager(clock,
                  shard->timers(),
                  store->locks(),
                  ids,
                  observer,
                  feed,
                  manager_options(daemon.settings_)),
          peers(store->client(),
                clock,
                shard->timers(),
                ids,
                {daemon.settings_.store.prefix,
                 station,
                 daemon.name_,
                 daemon.settings_.store.command_timeout,
                 given.seed + 2},
                {[this, &daemon](const auto& question) { return daemon.answer(*this, question); },
                 [this, &daemon](auto offer) { daemon.adopt(*this, std::move(offer)); },
                 [this](core::Instant at) { return store->store_time(at); }}),
          handover(clock, shard->timers(), manager, *store, peers) {
        inbox->subscribe(store::Notices::channel_of(station));
    }

    // What the store tells this shard; one shard tells the log for all.
    StoreSite::Listener listener(Daemon& daemon, StoreProbe::Report report) {
        return {[this, report = std::move(report)](Condition found) {
                    report(with_inbox(std::move(found)));
                },
                [&daemon](const auto& found) { daemon.readiness_->report(found); },
                [this] { peers.start(); },
                [this] { manager.renew_all(); },
                [this, &daemon](std::chrono::microseconds by, bool beyond_guard) {
                    on_clock_set(*daemon.logger_, by, beyond_guard);
                },
                [this] { inbox->relocate(); },
                [this, &daemon](std::string_view news, bool is_warning) {
                    if (index == 0) {
                        daemon.logger_->log(
                            is_warning ? spdlog::level::warn : spdlog::level::info, "{}", news);
                    }
                }};
    }

    Condition with_inbox(Condition found) const {
        return found.level != Condition::Level::ready || inbox->refused().empty()
                   ? found
                   : Condition{Condition::Level::down, "SUBSCRIBE: " + inbox->refused()};
    }

    void on_clock_set(spdlog::logger& logger, std::chrono::microseconds by, bool beyond_guard) {
        if (index == 0) {
            const double seconds = std::abs(std::chrono::duration<double>(by).count());
            logger.warn("store: the clock of Redis was set {} by {:.3f} s or more{}",
                        by.count() > 0 ? "forward" : "back",
                        seconds,
                        beyond_guard ? ": leases may have ended early there; those that are held "
                                       "are renewed, and new grants wait limits.max_ttl"
                                     : "");
        }
        if (beyond_guard) {
            manager.doubt_leases("the clock of Redis was set forward");
        }
    }

    // What another daemon's command did for us.
    void on_notice(std::string_view payload) {
        if (const auto notice = notices.parse(payload)) {
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
    std::string station;
    store::Notices notices;
    std::unique_ptr<StoreSite> store;
    std::unique_ptr<store::Inbox> inbox;
    store::WatchChannels feed;
    LogObserver observer;
    core::LockManager manager;
    store::RedisPeers peers;
    Handover handover;
};

}  // namespace holdfast::daemon
