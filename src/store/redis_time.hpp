#pragma once

// What Redis' clock says, as far as its replies tell. Each is as old as its way back took, so the
// greatest offset of late is the best guess; a clock that was set back is believed again after at most
// two windows.

#include "core/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::store {

class RedisTime {
public:
    using Microseconds = std::chrono::microseconds;

    // `now`: when a reply was read that says `time`, to what was sent then.
    void learn(Microseconds time, core::Instant sent_at, core::Instant now) {
        last_ = time - now.time_since_epoch();
        most_ = time - sent_at.time_since_epoch();
        if (!best_ || now >= window_end_) {
            before_ = best_.value_or(*last_);
            best_ = last_;
            window_end_ = now + kWindow;
        } else {
            best_ = std::max(*best_, *last_);
        }
    }

    bool known() const { return last_.has_value(); }

    // By the last reply: follows a step at once. 0 if nothing is known.
    std::int64_t latest(core::Instant at) const { return at_offset(last_, at); }

    // Not less than it says, by the last reply. 0 if nothing is known.
    std::int64_t at_most(core::Instant at) const { return at_offset(most_, at); }

    // By the best guess: for the order among daemons. 0 if nothing is known.
    std::int64_t steady(core::Instant at) const {
        return at_offset(best_ ? std::optional{std::max(*best_, before_)} : best_, at);
    }

private:
    static constexpr core::Duration kWindow = std::chrono::seconds{5};

    static std::int64_t at_offset(const std::optional<core::Duration>& offset, core::Instant at) {
        if (!offset) {
            return 0;
        }
        return std::chrono::floor<Microseconds>(at.time_since_epoch() + *offset).count();
    }

    std::optional<core::Duration> last_;
    std::optional<core::Duration> most_;
    std::optional<core::Duration> best_;  // in this window
    core::Duration before_{};             // in the window before
    core::Instant window_end_{};
};

}  // namespace holdfast::store
