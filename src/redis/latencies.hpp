#pragma once

// How long commands took, in buckets. Counts only; used by one thread.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace holdfast::redis {

struct Latencies {
    using Duration = std::chrono::nanoseconds;

    // Upper bounds; what took longer is in the last count.
    static constexpr std::array<Duration, 13> kBounds{std::chrono::microseconds{100},
                                                      std::chrono::microseconds{250},
                                                      std::chrono::microseconds{500},
                                                      std::chrono::milliseconds{1},
                                                      std::chrono::microseconds{2500},
                                                      std::chrono::milliseconds{5},
                                                      std::chrono::milliseconds{10},
                                                      std::chrono::milliseconds{25},
                                                      std::chrono::milliseconds{50},
                                                      std::chrono::milliseconds{100},
                                                      std::chrono::milliseconds{250},
                                                      std::chrono::milliseconds{500},
                                                      std::chrono::seconds{1}};

    void add(Duration took) {
        const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), took);
        ++counts[static_cast<std::size_t>(bucket - kBounds.begin())];
        total += took;
    }

    Latencies& operator+=(const Latencies& other) {
        std::transform(
            counts.begin(), counts.end(), other.counts.begin(), counts.begin(), std::plus{});
        total += other.total;
        return *this;
    }

    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    Duration total{};
};

}  // namespace holdfast::redis
