#include "daemon/daemon.hpp"

#include "daemon/durability.hpp"
#include "daemon/parts.hpp"
#include "daemon/peer_answers.hpp"
#include "holdfast/version.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <utility>

namespace holdfast::daemon {
namespace {

// A shard's thread that needs longer to answer does not do its work.
constexpr std::chrono::seconds kSurveyPatience{1};
// Between two looks whether other daemons have taken over.
constexpr std::chrono::milliseconds kHandoverLook{10};

// Of the Sentinels; read at start only.
std::string read_password(const std::string& path) {
    std::ifstream stream{path};
    std::string password;
    if (!std::getline(stream, password) || password.empty()) {
        throw std::runtime_error("store.sentinel_password_file " + path +
                                 " cannot be read or is empty");
    }
    return password;
}

// Where the store is, as far as settings say it, without a look at files.
redis::Settings described_store(const Settings& settings) {
    const Settings::Store& from = settings.store;
    const auto parsed = redis::parse_url(from.url);
    if (!parsed) {
        throw std::runtime_error("store.url: " + parsed.error());
    }
    redis::Settings store = *parsed;
    if (!from.username.empty()) {
        store.user = from.username;
    }
    if (!from.password.empty()) {
        store.password = from.password;
    }
    store.password_file = from.password_file;
    store.tls.ca_file = from.tls_ca;
    store.tls.cert_file = from.tls_cert;
    store.tls.key_file = from.tls_key;
    store.tls.server_name = from.tls_server_name;
    store.tls.at_least_1_3 = from.tls_min_version == "1.3";
    return store;
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

// Of Redis' clock, which says `store_time` now; empty if it has not said anything yet.
std::optional<std::chrono::microseconds> offset_of(std::int64_t store_time) {
    if (store_time == 0) {
        return std::nullopt;
    }
    return std::chrono::microseconds{store_time} -
           std::chrono::floor<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace

redis::Settings store_settings(const Settings& settings) {
    redis::Settings store = described_store(settings);
    store.access = std::make_shared<redis::Access>(store);
    store.sentinels.user = settings.store.sentinel_username;
    store.sentinels.password = settings.store.sentinel_password;
    if (!settings.store.sentinel_password_file.empty()) {
        store.sentinels.password = read_password(settings.store.sentinel_password_file);
    }
    return store;
}

Daemon::Daemon(const Settings& settings,
               const redis::Settings& where,
               Logger logger,
               std::function<void()> on_drain)
    : settings_(settings),
      logger_(std::move(logger)),
      on_drain_(std::move(on_drain)),
      name_(own_name(settings)),
      drain_timeout_(settings.drain.timeout),
      access_(where.access ? where.access : std::make_shared<redis::Access>(where)) {
    settings_.limits = limits_of(settings);
    redis::Settings store = where;
    store.access = access_;
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
            std::make_unique<Parts>(*this, i, store, clock_, [this, i](Condition found) {
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
            parts.store->start();
            parts.inbox->start();
        });
    }
}

void Daemon::stop() {
    if (!std::exchange(running_, false)) {
        return;
    }
    draining_ = true;
    const core::Milliseconds most = drain_timeout_;
    const core::Instant until = clock_.now() + most;
    readiness_->drain();
    for (std::size_t i = 0; i < shards_->size(); ++i) {
        shards_->post_to(i, [&parts = *parts_[i]](core::LockManager& manager) {
            manager.drain();
            parts.handover.begin();
        });
    }
    server_->stop(most);
    await_handover(until);
    http_.reset();  // it asks the shards
    shards_->stop();
    for (const auto& parts : parts_) {
        parts->store->stop();
        parts->inbox->stop();
    }
}

void Daemon::reload(const Settings& settings) {
    if (const auto read = access_->reload(described_store(settings)); !read) {
        logger_->error("reload: {}; nothing has changed", read.error());
        return;
    }
    logger_->info(
        "reload: the store's user, password and certificates are read anew; changes of other "
        "settings take a restart");
    for (std::size_t i = 0; i < shards_->size(); ++i) {
        shards_->post_to(i, [logger = logger_, &parts = *parts_[i]](core::LockManager&) {
            parts.store->authenticate_anew([logger](std::string_view error) {
                logger->warn(
                    "reload: Redis refuses the new password: {}; the connection goes on with "
                    "the old one until it breaks",
                    error);
            });
        });
    }
}

// What `read` says of each shard, on its thread; empty where it does not answer in time.
template <class Read>
auto Daemon::ask_shards(Read read)
    -> std::vector<std::optional<decltype(read(std::declval<Parts&>()))>> {
    // Outlives the call if a shard answers too late.
    struct Answers {
        std::mutex mutex;
        std::condition_variable changed;
        std::vector<std::optional<decltype(read(std::declval<Parts&>()))>> found;
        std::size_t missing;
    };
    const auto answers = std::make_shared<Answers>();
    answers->missing = parts_.size();
    answers->found.resize(parts_.size());
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        shards_->post_to(i, [answers, i, read, &parts = *parts_[i]](core::LockManager&) {
            auto found = read(parts);
            const std::lock_guard lock{answers->mutex};
            answers->found[i] = std::move(found);
            --answers->missing;
            answers->changed.notify_all();
        });
    }
    std::unique_lock lock{answers->mutex};
    answers->changed.wait_for(lock, kSurveyPatience, [&] { return answers->missing == 0; });
    return answers->found;
}

std::vector<std::optional<ShardReport>> Daemon::survey() {
    return ask_shards([this](Parts& parts) {
        return ShardReport{parts.manager.counts(),
                           parts.observer.totals(),
                           parts.store->status(),
                           parts.store->clock_set(),
                           offset_of(parts.store->store_time(clock_.now())),
                           parts.store->moves(),
                           parts.store->waits()};
    });
}

void Daemon::await_handover(core::Instant until) {
    // A shard that does not answer has nothing that could be waited for.
    const auto over = [this] {
        const auto shards = ask_shards([](Parts& parts) { return parts.handover.over(); });
        return std::all_of(
            shards.begin(), shards.end(), [](const auto& one) { return one.value_or(true); });
    };
    while (!over() && clock_.now() < until) {
        std::this_thread::sleep_for(kHandoverLook);
    }
    for (const auto& left : ask_shards([](Parts& parts) { return parts.handover.left(); })) {
        if (left.value_or(0) > 0) {
            logger_->warn(
                "{} or more leases found no other daemon to renew them: they end by their ttl",
                *left);
        }
    }
}

core::PeerAnswer Daemon::answer(Parts& parts, const core::PeerQuestion& question) {
    switch (question.kind) {
        case core::PeerQuestion::Kind::explain:
            if (const auto name = core::LockName::parse(question.subject)) {
                return explain(parts.manager, *name, clock_.now(), [&parts](core::Instant at) {
                    return parts.store->store_time(at);
                });
            }
            break;
        case core::PeerQuestion::Kind::streams:
            if (parts.index == 0) {  // one station tells for all
                return server_->streams(core::PeerAnswer::kMostStreams);
            }
            break;
    }
    return {};
}

// Renews from now on what a daemon that goes away has renewed for nobody who listens.
void Daemon::adopt(Parts& parts, store::Offers::Offer offer) {
    const auto left = std::chrono::floor<core::Milliseconds>(
        std::chrono::microseconds{offer.until_us - parts.store->store_time(clock_.now())});
    if (left <= core::Milliseconds{0} || offer.ttl <= core::Ttl{} ||
        offer.ttl > settings_.limits.max_ttl) {
        return;
    }
    const core::Milliseconds max_hold = std::min(left, settings_.limits.max_hold);
    const core::LockName name = offer.lease.name;
    shards_->post(name, [offer = std::move(offer), max_hold](core::LockManager& manager) mutable {
        manager.resume({.lease = std::move(offer.lease),
                        .ttl = offer.ttl,
                        .max_hold = max_hold,
                        .from = std::move(offer.from)},
                       [](const auto&) {});
    });
}

void Daemon::drain(std::optional<core::Milliseconds> most) {
    if (draining_.exchange(true)) {
        return;
    }
    if (most) {
        drain_timeout_ = *most;
    }
    logger_->info("AdminService.Drain");
    if (on_drain_) {
        on_drain_();
    }
}

rpc::AdminPort Daemon::admin_port() {
    return {std::string{kVersion},
            name_,
            clock_.now(),
            [this] { return readiness_->reasons(); },
            [this] { return readiness_->warnings(); },
            [this](std::size_t shard, auto question, auto done) {
                parts_[shard]->peers.ask(std::move(question), std::move(done));
            },
            [this](auto most) { drain(most); }};
}

void Daemon::on_readiness(const Condition& now) {
    server_->set_serving(now.serves());
    const std::string unfit = now.forbids_grants() ? now.why : "";
    if (unfit != std::exchange(unfit_, unfit)) {
        for (std::size_t i = 0; i < shards_->size(); ++i) {
            shards_->post_to(i, [unfit](core::LockManager& manager) { manager.set_unfit(unfit); });
        }
    }
    if (now.level == Condition::Level::ready) {
        logger_->info("ready: the store answers");
    } else {
        logger_->warn("not ready: {}", now.why);
    }
}

}  // namespace holdfast::daemon
