#include "cli/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace holdfast::cli {
namespace {

// "ms" before "m" and "s", so that it is not taken for either.
constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::int64_t kMostMs = 366LL * 24 * 3'600'000;

// Bytes of the character that `text` begins with; 0 if it is no UTF-8, a backslash, or steers a
// terminal: the control characters below U+0020 and from U+007F to U+009F.
std::size_t printable(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80) {
        return byte(0) < 0x20 || byte(0) == 0x7F || byte(0) == '\\' ? 0 : 1;
    }
    const std::size_t length = byte(0) < 0xC2   ? 0
                               : byte(0) < 0xE0 ? 2
                               : byte(0) < 0xF0 ? 3
                               : byte(0) < 0xF5 ? 4
                                                : 0;
    if (length == 0 || length > text.size() || (byte(0) == 0xC2 && byte(1) < 0xA0)) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    if (text == "0") {
        return std::chrono::milliseconds{0};
    }
    std::int64_t total = 0;
    bool any = false;
    while (!text.empty()) {
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{}) {
            return {};
        }
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& candidate) {
            return text.starts_with(candidate.first);
        });
        if (unit == kUnits.end()) {
            return {};
        }
        text.remove_prefix(unit->first.size());
        total += number * unit->second;
        any = true;
        if (total > kMostMs) {
            return {};
        }
    }
    return any ? std::optional{std::chrono::milliseconds{total}} : std::nullopt;
}

std::uint64_t milliseconds_of(std::string_view text) {
    return static_cast<std::uint64_t>(
        parse_duration(text).value_or(std::chrono::milliseconds{0}).count());
}

std::string show_duration(std::chrono::milliseconds value) {
    const std::int64_t ms = value.count();
    if (ms < 1000) {
        return std::to_string(ms) + "ms";
    }
    if (ms < 60'000) {
        const std::string tenths = ms % 1000 < 100 ? "" : "." + std::to_string(ms % 1000 / 100);
        return std::to_string(ms / 1000) + tenths + "s";
    }
    if (ms < 3'600'000) {
        return std::to_string(ms / 60'000) + "m" + std::to_string(ms / 1000 % 60) + "s";
    }
    const std::int64_t hours = ms / 3'600'000;
    if (hours < 48) {
        return std::to_string(hours) + "h" + std::to_string(ms / 60'000 % 60) + "m";
    }
    return std::to_string(hours / 24) + "d" + std::to_string(hours % 24) + "h";
}

std::string show_text(std::string_view text) {
    std::string shown;
    while (!text.empty()) {
        const std::size_t length = printable(text);
        if (length > 0) {
            shown += text.substr(0, length);
        } else {
            std::array<char, 5> hex{};
            std::snprintf(
                hex.data(), hex.size(), "\\x%02x", static_cast<unsigned char>(text.front()));
            shown += hex.data();
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return shown;
}

std::string show_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].size());
        }
    }
    std::string table;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            table += row[i];
            if (i + 1 < row.size()) {
                table.append(widths[i] - row[i].size() + 2, ' ');
            }
        }
        table += '\n';
    }
    return table;
}

std::optional<std::string> parse_hex(std::string_view text) {
    std::string bytes;
    if (text.size() % 2 != 0) {
        return {};
    }
    for (std::size_t i = 0; i < text.size(); i += 2) {
        unsigned value = 0;
        const char* begin = text.data() + i;
        const auto [end, error] = std::from_chars(begin, begin + 2, value, 16);
        if (error != std::errc{} || end != begin + 2) {
            return {};
        }
        bytes += static_cast<char>(value);
    }
    return bytes;
}

}  // namespace holdfast::cli
