#pragma once

// How modes, times and keys are said to the scripts, and which connection carries what is about a lock.

#include "core/lock_store.hpp"

#include <absl/hash/hash.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

inline std::string_view letter_of(const core::Access& access, bool upgrade) {
    switch (access.mode) {
        case core::Mode::exclusive:
            return "x";
        case core::Mode::shared:
            return upgrade ? "u" : "s";
        case core::Mode::permit:
            return "p";
    }
    return "";
}

inline std::string in_us(core::Duration duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// The keys of a script about one lock, with its plain key, if it has one, at the end.
inline std::vector<std::string_view> keys_with(std::vector<std::string_view> keys,
                                               const std::optional<std::string>& plain) {
    if (plain) {
        keys.emplace_back(*plain);
    }
    return keys;
}

inline std::size_t affinity_of(const core::LockName& name) {
    return absl::HashOf(name);
}

}  // namespace holdfast::store
