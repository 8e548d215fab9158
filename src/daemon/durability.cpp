#include "daemon/durability.hpp"

#include "daemon/settings_table.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace holdfast::daemon {
namespace {

std::size_t majority_of(const Settings::Store& settings) {
    return settings.safety == "strict" ? store::majority_replicas(settings.replicas) : 0;
}

}  // namespace

Durability::Durability(boost::asio::io_context& context,
                       const redis::Settings& where,
                       const core::Clock& clock,
                       core::TimerQueue& timers,
                       store::RedisLockStore& store,
                       const Settings::Store& settings,
                       std::function<void()> on_other_primary)
    : context_(context),
      where_(where),
      plain_(store),
      majority_(majority_of(settings)),
      pools_{line(0), line(1)},
      replication_(clock,
                   timers,
                   lines(),
                   {store::Replication::key_for(settings.prefix),
                    std::max<std::size_t>(majority_, 1),
                    settings.wait_timeout,
                    [&context, on_other_primary = std::move(on_other_primary)] {
                        boost::asio::post(context, on_other_primary);  // not from within an answer
                    }}),
      durable_(store, replication_, majority_, [&store] { return store.canary().incarnation(); }) {}

std::unique_ptr<redis::Pool> Durability::line(std::size_t number) {
    redis::Settings one = where_;
    one.connections = 1;
    one.seed += static_cast<std::uint32_t>(number);
    return std::make_unique<redis::Pool>(context_, one, [this, number](const auto* server) {
        replication_.on_line(number, server);
    });
}

std::array<store::Replication::Line, store::Replication::kLanes> Durability::lines() {
    const auto start = [this](std::size_t number) {
        return [this, number] { pools_[number]->start(); };
    };
    return {{{*pools_[0], start(0)}, {*pools_[1], start(1)}}};
}

void Durability::stop() {
    for (const auto& pool : pools_) {
        pool->stop();
    }
}

void Durability::relocate() {
    for (const auto& pool : pools_) {
        pool->relocate();
    }
}

void Durability::authenticate_anew(const std::function<void(std::string_view error)>& refused) {
    for (const auto& pool : pools_) {
        pool->authenticate_anew(refused);
    }
}

void Durability::await_majority(std::string incarnation, std::function<void(bool)> done) {
    replication_.await(majority_,
                       std::move(incarnation),
                       [this, done = std::move(done)](const store::Replication::Acks& acks) {
                           done(acks.count >= majority_);
                       });
}

Condition Durability::with_replicas(Condition found) {
    if (majority_ == 0) {
        return found;
    }
    std::string incarnation = plain_.canary().incarnation();
    if (!incarnation.empty() && !std::exchange(asking_, true)) {
        replication_.await(
            majority_, std::move(incarnation), [this](const store::Replication::Acks& acks) {
                asking_ = false;
                short_of_.clear();
                if (acks.count < majority_) {
                    short_of_ = "strict: " + std::to_string(acks.count) + " of " +
                                std::to_string(majority_) + " replicas acknowledge" +
                                (acks.why.empty() ? "" : " (" + acks.why + ")") +
                                ": nothing is granted, and nothing is renewed";
                }
            });
    }
    using Level = Condition::Level;
    if (short_of_.empty() || found.level > Level::closed) {
        return found;
    }
    return {Level::closed, found.level == Level::closed ? found.why + "; " + short_of_ : short_of_};
}

core::Limits limits_of(const Settings& settings) {
    core::Limits limits = settings.limits;
    limits.max_replicas = 0;
    if (has_replicas(settings.store.url)) {
        limits.max_replicas = core::Limits::kMaxReplicas;
        if (settings.store.replicas > 0) {
            limits.max_replicas = static_cast<std::uint8_t>(
                std::min<std::size_t>(settings.store.replicas, core::Limits::kMaxReplicas));
        }
    }
    return limits;
}

}  // namespace holdfast::daemon
