#include "daemon/store_probe.hpp"

#include <utility>
#include <variant>

namespace holdfast::daemon {
namespace {

constexpr core::Milliseconds kInterval{1000};

}  // namespace

StoreProbe::StoreProbe(redis::Pool& pool,
                       const core::Clock& clock,
                       core::TimerQueue& timers,
                       core::Milliseconds timeout,
                       Report report)
    : pool_(pool), clock_(clock), timeout_(timeout), report_(std::move(report)), timer_(timers) {}

void StoreProbe::start() {
    timer_.set(clock_.now() + kInterval, [this] { probe(); });
}

void StoreProbe::probe() {
    start();
    if (under_way_) {
        return;  // its timeout will tell
    }
    under_way_ = true;
    pool_.send(0,
               {redis::format_command({"PING"}),
                timeout_,
                [this](const redis::Outcome& outcome) { on_outcome(outcome); },
                {}});
}

void StoreProbe::on_outcome(const redis::Outcome& outcome) {
    under_way_ = false;
    if (const auto* reply = std::get_if<redis::Reply>(&outcome)) {
        report_((*reply)->is_error() ? std::string{(*reply)->text()} : std::string{});
        return;
    }
    const std::string connecting = pool_.status().last_error;
    report_(connecting.empty() ? "it does not answer" : connecting);
}

}  // namespace holdfast::daemon
