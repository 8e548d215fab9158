#include "store/replies.hpp"

#include <chrono>
#include <string>

namespace holdfast::store {
namespace {

using core::FencingToken;
using core::Milliseconds;
using core::StoreError;
using core::StoreFailure;

constexpr std::int64_t kConflict = 4;

std::int64_t code_of(const redis::Value& reply) {
    return reply[0].is_integer() ? reply[0].integer() : -1;
}

FencingToken token_in(const redis::Value& value) {
    return FencingToken{static_cast<std::uint64_t>(value.integer())};
}

Milliseconds from_us(const redis::Value& value) {
    return std::chrono::floor<Milliseconds>(std::chrono::microseconds{value.integer()});
}

tl::unexpected<StoreError> conflict(std::string_view why) {
    return tl::unexpected(StoreError{StoreFailure::mode_conflict,
                                     "the name cannot be used as a lock: " + std::string{why}});
}

tl::unexpected<StoreError> unexpected() {
    return tl::unexpected(unexpected_reply());
}

}  // namespace

StoreError unexpected_reply() {
    return {StoreFailure::unknown, "Redis gave a reply of an unexpected form"};
}

bool is_too_late(const redis::Value& reply) {
    return code_of(reply) == 0;
}

core::StoreResult<core::AcquireAnswer> decode_acquire(const redis::Value& reply) {
    switch (code_of(reply)) {
        case 1:
            if (!reply[2].is_integer()) {
                return unexpected();
            }
            return core::Granted{token_in(reply[2])};
        case 2:
            return core::Busy{
                {std::string{reply[4].text()}, token_in(reply[2]), from_us(reply[3])}};
        case 3:
            return core::Closed{};
        case kConflict:
            return conflict(reply[2].text());
        default:
            return unexpected();
    }
}

core::StoreResult<core::ReleaseAnswer> decode_release(const redis::Value& reply) {
    switch (code_of(reply)) {
        case 0:
            return core::NoSuchLease{};
        case 1:
            return core::Released{core::Verdict::held_throughout, {}};
        case 2:
            return core::Released{core::Verdict::already_expired, {}};
        case 3:
            return core::Released{core::Verdict::superseded, token_in(reply[2])};
        case kConflict:
            return conflict(reply[2].text());
        default:
            return unexpected();
    }
}

core::StoreResult<std::monostate> decode_cancel(const redis::Value& reply) {
    switch (code_of(reply)) {
        case 1:
        case kConflict:  // no lock, so no lease of ours either
            return std::monostate{};
        default:
            return unexpected();
    }
}

core::StoreResult<std::vector<core::RenewAnswer>> decode_renew(const redis::Value& reply,
                                                               std::size_t expected) {
    if (reply.size() != 1 + 2 * expected) {
        return unexpected();
    }
    std::vector<core::RenewAnswer> answers;
    answers.reserve(expected);
    for (std::size_t i = 0; i < expected; ++i) {
        answers.push_back({reply[1 + 2 * i].integer() == 1, token_in(reply[2 + 2 * i])});
    }
    return answers;
}

core::StoreResult<std::optional<core::LockState>> decode_state(const core::LockName& name,
                                                               const redis::Value& entry) {
    if (!entry.is_array()) {
        return unexpected();
    }
    if (entry.size() == 0) {
        return std::optional<core::LockState>{};
    }
    if (entry[0].integer() < 0) {
        return conflict(entry[1].text());
    }
    core::LockState state{name, token_in(entry[0]), {}};
    if (entry.size() == 5) {
        state.holder =
            core::HolderState{{std::string{entry[3].text()}, state.newest, from_us(entry[2])},
                              std::string{entry[4].text()},
                              from_us(entry[1])};
    }
    return std::optional{std::move(state)};
}

}  // namespace holdfast::store
