#pragma once

// Which of a Cluster's slots a key is in (the Redis Cluster specification, "Key distribution model").

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::redis {

using Slot = std::uint16_t;
constexpr std::size_t kSlots = 16384;

// CRC16 (XMODEM) of the key, or of its hash tag: what stands between the first { and the first } after it,
// if that is anything.
Slot slot_of(std::string_view key);

// Letters and digits that are in this slot: as a hash tag they take a key there. Always the same ones;
// some thousand tries.
std::string tag_for(Slot slot);

}  // namespace holdfast::redis
