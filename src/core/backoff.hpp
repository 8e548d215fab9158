#pragma once

// Jitter and exponential back-off, with the random source handed in.

#include "core/clock.hpp"

#include <algorithm>
#include <random>

namespace holdfast::core {

using Random = std::minstd_rand;

// `base` changed by up to `percent` per cent, either way, evenly distributed.
inline Duration jittered(Duration base, int percent, Random& random) {
    const Duration::rep spread = base.count() / 100 * percent;
    return base + Duration{std::uniform_int_distribution<Duration::rep>{-spread, spread}(random)};
}

struct Backoff {
    Duration first;
    Duration most;

    // Before try number `failures` + 1: first x 2^(failures - 1), at most `most`, +-25 %.
    Duration after(unsigned failures, Random& random) const {
        const unsigned doublings = std::min(failures == 0 ? 0U : failures - 1, 20U);
        return jittered(std::min(first * (1 << doublings), most), 25, random);
    }
};

}  // namespace holdfast::core
