#include "daemon/daemon.hpp"

#include "core/shards.hpp"
#include "daemon/store_probe.hpp"
#include "holdfast/version.hpp"
#include "redis/subscriber.hpp"
#include "store/redis_lock_store.hpp"
#include "store/watch_channels.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>

namespace holdfast::daemon {
namespace {

// A shard's thread that needs longer to answer does not do its work.
constexpr std::chrono::seconds kSurveyPatience{1};

std::size_t by_machine(std::size_t wanted) {
    return wanted > 0 ? wanted : std::max<std::size_t>(1, std::thread::hardware_concurrency() / 2);
}

std::string read_password(const std::string& path) {
    std::ifstream stream{path};
    std::string password;
    if (!std::getline(stream, password)) {
        throw std::runtime_error("store.password_file " + path + " cannot be read or is empty");
    }
    return password;
}

// Host and process: the same for no two daemons at a time.
std::string own_name(const Settings& settings) {
    if (!settings.server.name.empty()) {
        return settings.server.name;
    }
    constexpr std::size_t kLongestHost = 48;
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    return std::string{host.data()}.substr(0, kLongestHost) + ':' + std::to_string(getpid());
}

core::LockManager::Options manager_options(const Settings& settings) {
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
std::string new_station(core::HolderIdSource& ids) {
    constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
    constexpr std::size_t kLength = 8;
    const core::HolderId random = ids.next();
    std::string station;
    for (const char byte : random.view().substr(0, kLength)) {
        station += kAlphabet[static_cast<unsigned char>(byte) % kAlphabet.size()];
    }
    return station;
}

}  // namespace

redis::Settings store_settings(const Settings& settings) {
    const auto parsed = redis::parse_url(settings.store.url);
    if (!parsed) {
        throw std::runtime_error("store.url: " + parsed.error());
    }
    redis::Settings store = *parsed;
    if (!settings.store.username.empty()) {
        store.user = settings.store.username;
    }
    if (!settings.store.password.empty()) {
        store.password = settings.store.password;
    }
    if (!settings.store.password_file.empty()) {
        store.password = read_password(settings.store.password_file);
    }
    return store;
}

// One shard and all that lives on its thread. Destroyed in reverse: what uses before what is used.
struct Daemon::Parts {
    Parts(const Settings& settings,
          const redis::Settings& where,
          Logger logger,
          const core::Clock& clock,
          StoreProbe::Report report)
        : shard(std::make_unique<core::Shard>(clock)),
          pool(shard->context(), where, [this](const auto* server) { on_link(server); }),
          station(new_station(ids)),
          store(pool,
                clock,
                {settings.store.prefix,
                 settings.store.retention,
                 {settings.limits.max_ttl,
                  settings.store.assume_new,
                  settings.store.safety == "async"},
                 station}),
          inbox(std::make_shared<redis::Subscriber>(
              shard->context(),
              where,
              where.seed + 1,
              [this](auto, std::string_view payload) { on_notice(payload); },
              [this](bool again) { manager.watchers().listening(again); })),
          feed(store, *inbox),
          observer(std::move(logger), clock),
          manager(clock, shard->timers(), store, ids, observer, feed, manager_options(settings)),
          probe(pool,
                store.canary(),
                clock,
                shard->timers(),
                settings.store.command_timeout,
                std::move(report)) {
        inbox->subscribe(store::RedisLockStore::channel_of(station));
    }

    void on_link(const redis::ServerInfo* server) {
        if (server != nullptr) {
            store.canary().connected_to(*server);
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
        }
    }

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
};

Daemon::Daemon(const Settings& settings, const redis::Settings& where, Logger logger)
    : settings_(settings), logger_(std::move(logger)) {
    redis::Settings store = where;
    store.client_name = "holdfastd";
    store.connect_timeout = settings.store.connect_timeout;
    store.connections = settings.store.connections;
    store.limits.max_in_flight = settings.store.max_in_flight;
    store.seed = std::random_device{}();

    const std::size_t count = by_machine(settings.server.shards);
    readiness_ =
        std::make_unique<Readiness>(count, [this](const Condition& now) { on_readiness(now); });
    std::vector<std::unique_ptr<core::Shard>> shards;
    for (std::size_t i = 0; i < count; ++i) {
        parts_.push_back(
            std::make_unique<Parts>(settings_, store, logger_, clock_, [this, i](Condition found) {
                readiness_->report(i, std::move(found));
            }));
        shards.push_back(std::move(parts_.back()->shard));
    }
    shards_ = std::make_unique<core::Shards>(std::move(shards));
    server_ = std::make_unique<rpc::Server>(
        rpc::ServerSettings{settings_.listen.grpc,
                            by_machine(settings_.server.queues),
                            [this](std::size_t method, std::size_t code, core::Duration took) {
                                metrics_.rpc_finished(method, code, took);
                            },
                            admin_port()},
        clock_,
        settings_.limits,
        *shards_);
}

Daemon::~Daemon() {
    stop();
    http_.reset();
    // The parts' sockets and timers belong to the shards' loops: they go first.
    server_.reset();
    parts_.clear();
}

void Daemon::start() {
    // First: if one of the two cannot listen, no call has come that would have to be answered.
    if (!settings_.listen.http.empty()) {
        http_ = std::make_unique<admin::HttpServer>(
            settings_.listen.http, make_pages(*readiness_, metrics_, [this] { return survey(); }));
    }
    server_->start();
    running_ = true;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        Parts& parts = *parts_[i];
        shards_->start(i, parts.manager);
        shards_->post_to(i, [&parts](core::LockManager&) {
            parts.pool.start();
            parts.inbox->start();
            parts.probe.start();
        });
    }
}

void Daemon::stop() {
    if (!std::exchange(running_, false)) {
        return;
    }
    readiness_->drain();
    for (std::size_t i = 0; i < shards_->size(); ++i) {
        shards_->post_to(i, [](core::LockManager& manager) { manager.drain(); });
    }
    server_->stop(settings_.drain.timeout);
    http_.reset();  // it asks the shards
    shards_->stop();
    for (const auto& parts : parts_) {
        parts->pool.stop();
        parts->inbox->stop();
    }
}

std::vector<std::optional<ShardReport>> Daemon::survey() {
    // Outlives the survey if a shard answers too late.
    struct Answers {
        std::mutex mutex;
        std::condition_variable changed;
        std::vector<std::optional<ShardReport>> reports;
        std::size_t missing;
    };
    const auto answers = std::make_shared<Answers>();
    answers->missing = parts_.size();
    answers->reports.resize(parts_.size());
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        shards_->post_to(i, [answers, i, &parts = *parts_[i]](core::LockManager& manager) {
            ShardReport report{manager.counts(), parts.observer.totals(), parts.pool.status()};
            const std::lock_guard lock{answers->mutex};
            answers->reports[i] = std::move(report);
            --answers->missing;
            answers->changed.notify_all();
        });
    }
    std::unique_lock lock{answers->mutex};
    answers->changed.wait_for(lock, kSurveyPatience, [&] { return answers->missing == 0; });
    return answers->reports;
}

rpc::AdminPort Daemon::admin_port() {
    return {std::string{kVersion}, own_name(settings_), clock_.now(), [this] {
                const Condition now = readiness_->now();
                return now.level == Condition::Level::ready ? std::vector<std::string>{}
                                                            : std::vector{now.why};
            }};
}

void Daemon::on_readiness(const Condition& now) {
    server_->set_serving(now.serves());
    if (now.level == Condition::Level::ready) {
        logger_->info("ready: the store answers");
    } else {
        logger_->warn("not ready: {}", now.why);
    }
}

}  // namespace holdfast::daemon
