// The one place where Boost.JSON is compiled (it is used header-only).
#include "cli/json.hpp"

#include <boost/json/src.hpp>

#include <array>
#include <cstdio>

namespace holdfast::cli {

std::string json_line(const boost::json::value& value) {
    const std::string plain = boost::json::serialize(value);
    std::string line;
    for (std::size_t i = 0; i < plain.size(); ++i) {
        const auto byte = static_cast<unsigned char>(plain[i]);
        const auto second = static_cast<unsigned char>(i + 1 < plain.size() ? plain[i + 1] : 0);
        const bool of_two = byte == 0xC2 && second < 0xA0;
        if (byte != 0x7F && !of_two) {
            line += plain[i];
            continue;
        }
        std::array<char, 7> escaped{};
        std::snprintf(escaped.data(), escaped.size(), "\\u%04x", of_two ? second : byte);
        line += escaped.data();
        i += of_two ? 1 : 0;
    }
    return line + "\n";
}

}  // namespace holdfast::cli
