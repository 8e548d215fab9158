#include "cli/boot_clock.hpp"

#include <ctime>

namespace holdfast::cli {

BootTime boot_now() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + BootTime{time.tv_nsec};
}

}  // namespace holdfast::cli
