#include "store/notices.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::store {
namespace {

using Kind = Notice::Kind;

constexpr std::size_t kIdBytes = sizeof(core::HolderId::bytes);
constexpr std::size_t kClosesDigits = 12;
constexpr std::size_t kLengthDigits = 3;

// Takes `count` bytes off the front; empty if there are not so many.
std::optional<std::string_view> take(std::string_view& from, std::size_t count) {
    if (from.size() < count) {
        return std::nullopt;
    }
    const std::string_view taken = from.substr(0, count);
    from.remove_prefix(count);
    return taken;
}

std::optional<std::uint64_t> take_number(std::string_view& from, std::size_t digits) {
    const auto text = take(from, digits);
    std::uint64_t number = 0;
    if (!text) {
        return std::nullopt;
    }
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    return error == std::errc{} && end == text->data() + text->size() ? std::optional{number}
                                                                      : std::nullopt;
}

std::optional<Kind> kind_of(char letter) {
    switch (letter) {
        case 'f':
            return Kind::freed;
        case 'e':
            return Kind::ended;
        case 'm':
            return Kind::moved;
        case 'r':
            return Kind::revoked;
        case 'c':
            return Kind::changed;
        default:
            return std::nullopt;
    }
}

std::optional<core::Revocation> how_of(char letter) {
    switch (letter) {
        case 'r':
            return core::Revocation::yield;
        case 'f':
            return core::Revocation::lost;
        case 'i':
            return core::Revocation::at_once;
        default:
            return std::nullopt;
    }
}

// how, holder id, closes in (us), length of the reason, reason: see lua/revoke.lua.
bool take_revocation(std::string_view& from, Notice& notice) {
    const auto letter = take(from, 1);
    const auto how = letter ? how_of(letter->front()) : std::nullopt;
    const auto id = take(from, kIdBytes);
    const auto closes = take_number(from, kClosesDigits);
    const auto length = take_number(from, kLengthDigits);
    const auto reason = length ? take(from, *length) : std::nullopt;
    if (!how || !id || !closes || !reason) {
        return false;
    }
    notice.how = *how;
    std::copy_n(id->begin(), kIdBytes, notice.holder.bytes.begin());
    notice.closes_in = std::chrono::floor<core::Milliseconds>(std::chrono::microseconds{*closes});
    notice.reason = *reason;
    return true;
}

}  // namespace

std::string Notices::channel_of(std::string_view station) {
    return "holdfast:" + std::string{station};
}

std::string Notices::watch_channel(std::size_t index) {
    return "holdfast:watch:" + std::to_string(index);
}

// As changed() in lua/_record.lua.
std::size_t Notices::watch_index(const core::LockName& name) const {
    const std::string key = prefix_ + name.text();
    return (static_cast<unsigned char>(key.back()) + 7 * key.size()) % kWatchChannels;
}

std::optional<Notice> Notices::parse(std::string_view payload) const {
    const auto letter = take(payload, 1);
    const auto kind = letter ? kind_of(letter->front()) : std::nullopt;
    if (!kind) {
        return std::nullopt;
    }
    Notice notice{*kind, *core::LockName::parse("-"), {}};
    if (*kind == Kind::revoked) {
        if (!take_revocation(payload, notice)) {
            return std::nullopt;
        }
    } else if (*kind == Kind::ended || *kind == Kind::moved) {
        const auto id = take(payload, kIdBytes);
        if (!id) {
            return std::nullopt;
        }
        std::copy_n(id->begin(), kIdBytes, notice.holder.bytes.begin());
    }
    if (!payload.starts_with(prefix_)) {
        return std::nullopt;
    }
    auto name = core::LockName::parse(std::string{payload.substr(prefix_.size())});
    if (!name) {
        return std::nullopt;
    }
    notice.name = *std::move(name);
    return notice;
}

}  // namespace holdfast::store
