#include "daemon/durations.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace holdfast::daemon {
namespace {

// "ms" before "m" and "s", so that it is not taken for either.
constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
// A thousand years: beyond it is a typing error, and sums cannot overflow.
constexpr std::int64_t kMost = 31'557'600'000'000;

std::int64_t take_unit(std::string_view& text) {
    for (const auto& [name, factor] : kUnits) {
        if (text.starts_with(name)) {
            text.remove_prefix(name.size());
            return factor;
        }
    }
    return 0;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    std::int64_t total = 0;
    if (text.empty()) {
        return {};
    }
    while (!text.empty()) {
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{}) {
            return {};
        }
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const std::int64_t unit = take_unit(text);
        total += number * unit;
        if (unit == 0 || total > kMost) {
            return {};
        }
    }
    return std::chrono::milliseconds{total};
}

std::string format_duration(std::chrono::milliseconds value) {
    std::int64_t left = value.count();
    std::string text;
    for (const auto& [name, factor] : {kUnits[3], kUnits[2], kUnits[1], kUnits[0]}) {
        if (left >= factor) {
            text += std::to_string(left / factor);
            text += name;
            left %= factor;
        }
    }
    return text.empty() ? "0s" : text;
}

}  // namespace holdfast::daemon
