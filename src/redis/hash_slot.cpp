#include "redis/hash_slot.hpp"

#include <array>

namespace holdfast::redis {
namespace {

constexpr std::uint16_t kPolynomial = 0x1021;
constexpr std::uint16_t kHighBit = 0x8000;
constexpr int kBitsPerByte = 8;

constexpr std::array<std::uint16_t, 256> make_table() {
    std::array<std::uint16_t, 256> table{};
    for (std::size_t byte = 0; byte < table.size(); ++byte) {
        auto crc = static_cast<std::uint16_t>(byte << kBitsPerByte);
        for (int bit = 0; bit < kBitsPerByte; ++bit) {
            const bool high = (crc & kHighBit) != 0;
            crc = static_cast<std::uint16_t>(crc << 1);
            if (high) {
                crc ^= kPolynomial;
            }
        }
        table[byte] = crc;
    }
    return table;
}

constexpr auto kTable = make_table();

std::uint16_t crc16(std::string_view text) {
    std::uint16_t crc = 0;
    for (const char c : text) {
        const auto index =
            static_cast<std::uint8_t>(crc >> kBitsPerByte) ^ static_cast<std::uint8_t>(c);
        crc = static_cast<std::uint16_t>(crc << kBitsPerByte) ^ kTable[index];
    }
    return crc;
}

std::string_view hashed_part(std::string_view key) {
    const auto open = key.find('{');
    if (open == std::string_view::npos) {
        return key;
    }
    const auto close = key.find('}', open + 1);
    if (close == std::string_view::npos || close == open + 1) {
        return key;
    }
    return key.substr(open + 1, close - open - 1);
}

}  // namespace

Slot slot_of(std::string_view key) {
    return static_cast<Slot>(crc16(hashed_part(key)) % kSlots);
}

std::string tag_for(Slot slot) {
    constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (std::size_t number = 0;; ++number) {
        std::string tag;
        for (std::size_t left = number; tag.empty() || left > 0; left /= kDigits.size()) {
            tag += kDigits[left % kDigits.size()];
        }
        if (slot_of(tag) == slot) {
            return tag;
        }
    }
}

}  // namespace holdfast::redis
