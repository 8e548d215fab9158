#pragma once

// The domain's words as types, so that a token cannot be passed where a lease id belongs. Each is
// checked once, at the edge, and then trusted.

#include "core/clock.hpp"
#include "core/error.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::core {

enum class Mode : std::uint8_t { exclusive = 1, shared = 2, permit = 3 };

// How a lock is held: one name is used by exclusive and shared holders, or for permits.
struct Access {
    Mode mode = Mode::exclusive;
    std::uint32_t permits = 1;  // of Mode::permit: how many of `limit`
    std::uint32_t limit = 0;
    friend bool operator==(const Access&, const Access&) = default;
};

// A lock's name: 1 to 512 bytes of valid UTF-8 without NUL and control characters.
class LockName {
public:
    static constexpr std::size_t kMaxBytes = 512;

    static Result<LockName> parse(std::string text);

    const std::string& text() const { return text_; }
    friend bool operator==(const LockName&, const LockName&) = default;

    template <class H>
    friend H AbslHashValue(H hash, const LockName& name) {
        return H::combine(std::move(hash), name.text_);
    }

private:
    explicit LockName(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

// A grant's number. For one lock, a later exclusive grant's is greater. 0 is no token.
struct FencingToken {
    std::uint64_t value = 0;
    friend auto operator<=>(FencingToken, FencingToken) = default;
};

// The secret half of a lease id: 128 bits that only the holder and the store know.
struct HolderId {
    std::array<char, 16> bytes{};

    std::string_view view() const { return {bytes.data(), bytes.size()}; }
    friend bool operator==(const HolderId&, const HolderId&) = default;

    template <class H>
    friend H AbslHashValue(H hash, const HolderId& id) {
        return H::combine(std::move(hash), id.view());
    }
};

// How long a lease is promised for from the send of the command that obtained it.
struct Ttl {
    Milliseconds value{};
    friend auto operator<=>(Ttl, Ttl) = default;
};

// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates) and has no control
// characters (U+0000 to U+001F, U+007F to U+009F).
bool is_clean_utf8(std::string_view text);

}  // namespace holdfast::core
