#pragma once

// Time as core sees it: CLOCK_BOOTTIME, which goes on while the machine is suspended, so that a
// lease cannot look valid after a resume only because the clock stood still. Injected everywhere:
// tests and the simulator own theirs.

#include <chrono>

namespace holdfast::core {

using Duration = std::chrono::nanoseconds;
using Milliseconds = std::chrono::milliseconds;

// Tag and vocabulary of a point in time on CLOCK_BOOTTIME. There is no now() here on purpose: the
// only way to read the time is a Clock that was handed over.
struct BootTime {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootTime>;
    static constexpr bool is_steady = true;
};

using Instant = BootTime::time_point;

inline constexpr Instant kNever = Instant::max();

class Clock {
public:
    virtual ~Clock() = default;
    virtual Instant now() const noexcept = 0;
};

// The machine's CLOCK_BOOTTIME.
class SystemClock final : public Clock {
public:
    Instant now() const noexcept override;
};

// From `now` to `deadline` in whole milliseconds, rounded down (a promise never grows by rounding),
// 0 if it has passed.
Milliseconds remaining(Instant now, Instant deadline) noexcept;

}  // namespace holdfast::core
