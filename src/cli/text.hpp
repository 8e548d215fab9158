#pragma once

// Text for people: durations in and out, odd characters made visible, tables.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

// 500ms, 10s, 1m30s, 2h. Empty if it is none, a bare number in particular.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// The same in milliseconds, as the API has it; 0 if there is none.
std::uint64_t milliseconds_of(std::string_view text);

// With at most two units: 3d4h, 1m30s, 2.5s, 40ms.
std::string show_duration(std::chrono::milliseconds value);

// Control characters, backslashes and what is not UTF-8 as \xNN, so that a name cannot steer the
// terminal. The rest stays.
std::string show_text(std::string_view text);

// Columns aligned by the longest cell, two spaces apart; the first row is the heading.
std::string show_table(const std::vector<std::vector<std::string>>& rows);

// Hexadecimal digits to bytes; empty if they are not.
std::optional<std::string> parse_hex(std::string_view text);

}  // namespace holdfast::cli
