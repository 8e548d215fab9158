#pragma once

// The clock that deadlines are judged by: it goes on while the machine sleeps.

#include <chrono>

namespace holdfast::cli {

// On CLOCK_BOOTTIME.
using BootTime = std::chrono::nanoseconds;
BootTime boot_now();

}  // namespace holdfast::cli
