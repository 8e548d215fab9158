#pragma once

// Durations as people write them: 500ms, 10s, 1m30s, 24h.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::daemon {

// Empty if the text is not one or more numbers, each with one of the units ms, s, m, h.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// The shortest form that parses to the same.
std::string format_duration(std::chrono::milliseconds value);

}  // namespace holdfast::daemon
