#pragma once

// What stands in a lock's record: see src/store/lua/_head.lua.

#include <absl/strings/str_format.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::test {

// Field l. Zeros if there is none.
struct RecordHead {
    RecordHead() = default;
    explicit RecordHead(const std::string& field) {
        if (field.size() == kBytes) {
            mode = field[1];
            token = std::stoull(field.substr(2, 16));
            expiry_us = std::stoll(field.substr(18, 16));
        }
    }

    std::string text() const {
        return absl::StrFormat("1%c%016d%016d%016d        ", mode, token, expiry_us, 0);
    }

    static constexpr std::size_t kBytes = 58;
    char mode = 'x';
    std::uint64_t token = 0;
    std::int64_t expiry_us = 0;  // of the exclusive lease
};

// Whether the exclusive lease was shared before, by field x.
inline bool was_shared(const std::string& field) {
    constexpr std::size_t kWas = 6;
    std::istringstream words{field};
    std::vector<std::string> numbers;
    for (std::string word; words >> word;) {
        numbers.push_back(word);
    }
    return numbers.size() > kWas && numbers[kWas] != "0";
}

}  // namespace holdfast::test
