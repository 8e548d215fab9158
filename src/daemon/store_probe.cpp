#include "daemon/store_probe.hpp"

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <utility>

namespace holdfast::daemon {
namespace {

using Level = Condition::Level;

constexpr core::Milliseconds kInterval{1000};
// Findings of the same moment differ by so much: by rounding and the way of the reply.
constexpr core::Milliseconds kSameMoment{1000};

std::string seconds(core::Milliseconds time) {
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

StoreProbe::StoreProbe(redis::Pool& pool,
                       store::Canary& canary,
                       const core::Clock& clock,
                       core::TimerQueue& timers,
                       core::Milliseconds timeout,
                       Report report)
    : pool_(pool),
      canary_(canary),
      clock_(clock),
      timeout_(timeout),
      report_(std::move(report)),
      timer_(timers) {}

void StoreProbe::start() {
    timer_.set(clock_.now() + kInterval, [this] { probe(); });
}

void StoreProbe::probe() {
    start();
    if (under_way_) {
        return;  // its timeout will tell
    }
    under_way_ = true;
    canary_.look(timeout_, [this](const auto& found) {
        under_way_ = false;
        report_(judge(found));
    });
}

Condition StoreProbe::judge(const core::StoreResult<store::Canary::Finding>& found) {
    if (!found) {
        const std::string connecting = pool_.status().last_error;
        return {Level::down, connecting.empty() ? found.error().message : connecting};
    }
    if (found->other_max_ttl) {
        return {Level::misconfigured,
                "limits.max_ttl of the daemons on this Redis is " +
                    std::to_string(found->other_max_ttl->count()) +
                    " ms, and must be the same for all: set it so here, or stop all daemons, then "
                    "redis-cli DEL \"" +
                    canary_.printable_key() + "\", and start them with the new one"};
    }
    if (found->sealed) {
        return {
            Level::closed,
            "strict: it has lost its memory, or is a new primary, and it is not known yet that a "
            "majority of nodes follows it: new grants wait for that, and limits.max_ttl more; "
            "leases that are held go on"};
    }
    return found->closed_for > core::Milliseconds{0} ? closed_for(found->closed_for) : Condition{};
}

// The same words as long as the moment is the same.
Condition StoreProbe::closed_for(core::Milliseconds left) {
    const core::Instant opens_at = clock_.now() + left;
    if (said_.empty() || opens_at > opens_at_ + kSameMoment || opens_at < opens_at_ - kSameMoment) {
        opens_at_ = opens_at;
        said_ =
            "it is empty, has gone back in time, or its clock was set forward: new grants wait " +
            seconds(left) + ", until " +
            absl::FormatTime(
                "%H:%M:%S", absl::Now() + absl::Milliseconds(left.count()), absl::UTCTimeZone()) +
            " UTC, by when every lease that could exist has ended; leases that are held go on. If "
            "this Redis is new, start with --assume-new-store";
    }
    return {Level::closed, said_};
}

}  // namespace holdfast::daemon
