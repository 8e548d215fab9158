#include "core/types.hpp"

#include <utility>

namespace holdfast::core {
namespace {

// Length of the UTF-8 sequence that `lead` opens, 0 if it opens none.
std::size_t sequence_length(unsigned char lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

// The bounds of the second byte exclude overlong forms, surrogates and what is above U+10FFFF
// (Unicode 15, table 3-7).
bool second_byte_fits(unsigned char lead, unsigned char second) {
    switch (lead) {
        case 0xE0:
            return second >= 0xA0 && second <= 0xBF;
        case 0xED:
            return second >= 0x80 && second <= 0x9F;
        case 0xF0:
            return second >= 0x90 && second <= 0xBF;
        case 0xF4:
            return second >= 0x80 && second <= 0x8F;
        default:
            return second >= 0x80 && second <= 0xBF;
    }
}

bool is_control(unsigned char lead, unsigned char second) {
    return lead < 0x20 || lead == 0x7F || (lead == 0xC2 && second < 0xA0);
}

// Bytes of the clean character at the front of `text`, 0 if there is none.
std::size_t clean_character(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = sequence_length(byte(0));
    if (length == 0 || length > text.size()) {
        return 0;
    }
    if (length > 1 && !second_byte_fits(byte(0), byte(1))) {
        return 0;
    }
    for (std::size_t i = 2; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) {
            return 0;
        }
    }
    return is_control(byte(0), length > 1 ? byte(1) : 0xFF) ? 0 : length;
}

}  // namespace

bool is_clean_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = clean_character(text);
        if (length == 0) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

Result<LockName> LockName::parse(std::string text) {
    if (text.empty()) {
        return invalid("name", "name is empty; a lock's name has 1 to 512 bytes");
    }
    if (text.size() > kMaxBytes) {
        return invalid("name",
                       "name has " + std::to_string(text.size()) +
                           " bytes; a lock's name has 1 to 512; use a shorter one or a hash");
    }
    if (!is_clean_utf8(text)) {
        return invalid("name",
                       "name is not valid UTF-8 without NUL and control characters; encode binary "
                       "names, for example as hex");
    }
    return LockName{std::move(text)};
}

}  // namespace holdfast::core
