#include "core/clock.hpp"

#include <ctime>

namespace holdfast::core {

Instant SystemClock::now() const noexcept {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);  // cannot fail for a clock that exists since Linux 2.6.39
    return Instant{std::chrono::seconds{time.tv_sec} + Duration{time.tv_nsec}};
}

Milliseconds remaining(Instant now, Instant deadline) noexcept {
    if (deadline <= now) {
        return Milliseconds{0};
    }
    return std::chrono::floor<Milliseconds>(deadline - now);
}

}  // namespace holdfast::core
