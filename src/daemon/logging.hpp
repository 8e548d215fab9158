#pragma once

// The daemon's log: lines on stderr, as text or as one JSON object each, times in UTC. Written by a
// thread of its own from a bounded queue that drops the oldest line when stderr stands still, so
// that a stalled log never stalls a lock.

#include "core/observer.hpp"

#include <spdlog/logger.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace holdfast::daemon {

using Logger = std::shared_ptr<spdlog::logger>;

// `level` and `format` as checked by the settings.
Logger make_logger(const std::string& level, const std::string& format);

// What happens to leases, for the operator: in the log, and counted. In the log, of each kind at most
// kPerSecond lines a second; what was left out is counted in the next one. One object per shard, used
// by its thread.
class LogObserver final : public core::Observer {
public:
    static constexpr unsigned kPerSecond = 10;

    LogObserver(Logger logger, const core::Clock& clock)
        : logger_(std::move(logger)), clock_(clock) {}

    void lease_at_risk(const core::Lease& lease, std::string_view why) override;
    void lease_recovered(const core::Lease& lease) override;
    void lease_lost(const core::Lease& lease, core::LossCause cause) override;
    void outcome_unknown(const core::LockName& name) override;

    struct Totals {
        std::uint64_t at_risk = 0;
        std::uint64_t recovered = 0;
        std::uint64_t taken = 0;    // lost: gone from the store
        std::uint64_t expired = 0;  // lost: no renewal was confirmed before the deadline
        std::uint64_t unknown = 0;
    };
    const Totals& totals() const { return totals_; }

private:
    struct Kind {
        core::Instant second{};
        unsigned lines = 0;
        std::uint64_t left_out = 0;
    };
    // Says it, unless this kind has had its lines for this second.
    void say(Kind& kind, spdlog::level::level_enum level, const std::string& text);

    Logger logger_;
    const core::Clock& clock_;
    Kind at_risk_;
    Kind recovered_;
    Kind lost_;
    Kind unknown_;
    Totals totals_;
};

}  // namespace holdfast::daemon
