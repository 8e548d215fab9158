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
constexpr std::int64_t kLost = 7;
constexpr std::int64_t kRecovering = 8;
constexpr std::int64_t kRevoked = 9;
constexpr std::int64_t kRenewalsLost = -1;
// Where release.lua's reply tells what became of the next waiter.
constexpr std::size_t kHandedAt = 3;

std::int64_t code_of(const redis::Value& reply) {
    return reply[0].is_integer() ? reply[0].integer() : -1;
}

FencingToken token_in(const redis::Value& value) {
    return FencingToken{static_cast<std::uint64_t>(value.integer())};
}

Milliseconds from_us(const redis::Value& value) {
    return std::chrono::floor<Milliseconds>(std::chrono::microseconds{value.integer()});
}

std::optional<core::Mode> mode_in(const redis::Value& letter) {
    const std::string_view text = letter.text();
    if (text == "x") {
        return core::Mode::exclusive;
    }
    if (text == "s") {
        return core::Mode::shared;
    }
    return text == "p" ? std::optional{core::Mode::permit} : std::nullopt;
}

// {token, held_for_us, left_us, units, owner, metadata}
core::HolderState holder_in(const redis::Value& one) {
    return {{std::string{one[4].text()}, token_in(one[0]), from_us(one[2])},
            std::string{one[5].text()},
            from_us(one[1]),
            static_cast<std::uint32_t>(one[3].integer())};
}

tl::unexpected<StoreError> conflict(std::string_view why) {
    return tl::unexpected(StoreError{StoreFailure::mode_conflict,
                                     "the name cannot be used as a lock: " + std::string{why}});
}

tl::unexpected<StoreError> lost() {
    return tl::unexpected(StoreError{StoreFailure::not_executed, "the store has lost its memory"});
}

tl::unexpected<StoreError> unexpected() {
    return tl::unexpected(unexpected_reply());
}

}  // namespace

StoreError unexpected_reply() {
    return {StoreFailure::unknown, "Redis gave a reply of an unexpected form"};
}

bool says_lost(const redis::Value& reply) {
    const bool whole = code_of(reply) == kLost;
    const bool handing = reply.size() > kHandedAt && reply[kHandedAt].is_integer() &&
                         reply[kHandedAt].integer() == kLost;
    const bool renewing = reply.size() == 2 && reply[1].integer() == kRenewalsLost;
    return whole || handing || renewing;
}

bool is_too_late(const redis::Value& reply) {
    return code_of(reply) == 0;
}

namespace {

// The reply of take() in lua/_take.lua, which stands in `reply` from `at` on.
core::StoreResult<core::AcquireAnswer> decode_take(const redis::Value& reply, std::size_t at) {
    if (!reply[at].is_integer()) {
        return unexpected();
    }
    switch (reply[at].integer()) {
        case 1:
            if (!reply[at + 2].is_integer()) {
                return unexpected();
            }
            return core::Granted{token_in(reply[at + 2])};
        case 2:
            return core::Busy{{std::string{reply[at + 4].text()},
                               token_in(reply[at + 2]),
                               from_us(reply[at + 3])},
                              static_cast<std::size_t>(reply[at + 5].integer()),
                              false,
                              reply.size() > at + 6};
        case 3:
            return core::Closed{};
        case kConflict:
            return conflict(reply[at + 2].text());
        case 5:
            return core::Deadlocked{};
        case 6:
            return core::NotHeld{};
        case kLost:
            return lost();
        case kRecovering:
            return core::Busy{{"", {}, from_us(reply[at + 2])}, 0, true};
        default:
            return unexpected();
    }
}

core::StoreResult<std::variant<core::Released, core::NoSuchLease>> decode_ended(
    const redis::Value& reply) {
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

}  // namespace

core::StoreResult<core::AcquireAnswer> decode_acquire(const redis::Value& reply) {
    return decode_take(reply, 0);
}

core::StoreResult<core::ReleaseAnswer> decode_release(const redis::Value& reply) {
    return decode_ended(reply).map([&](const auto& ended) {
        core::ReleaseAnswer answer{ended, std::nullopt};
        if (reply.size() > kHandedAt) {
            answer.handed = decode_take(reply, kHandedAt);
        }
        return answer;
    });
}

core::StoreResult<std::monostate> decode_done(const redis::Value& reply) {
    switch (code_of(reply)) {
        case 1:
        case kConflict:  // no lock, so nothing of ours either
            return std::monostate{};
        default:
            return unexpected();
    }
}

core::StoreResult<core::RenewAnswer> decode_take_over(const redis::Value& reply,
                                                      const core::Lease& lease) {
    switch (code_of(reply)) {
        case 0:
            return core::RenewAnswer{false, token_in(reply[2])};
        case 1: {
            core::RenewAnswer answer{true, token_in(reply[2])};
            const auto mode = mode_in(reply[3]);
            const core::Access access =
                mode && *mode != lease.access.mode ? core::Access{*mode} : lease.access;
            answer.now = core::HeldAs{token_in(reply[2]), access};
            return answer;
        }
        case kLost:
            return lost();
        case kRecovering:
            return core::RenewAnswer{false, {}, true};
        case kRevoked: {
            core::RenewAnswer answer;
            answer.revoked = true;
            return answer;
        }
        case kConflict:
            return conflict(reply[2].text());
        default:
            return unexpected();
    }
}

core::StoreResult<std::vector<core::RenewAnswer>> decode_renew(const redis::Value& reply,
                                                               std::size_t expected) {
    constexpr std::size_t kPerLease = 4;
    if (says_lost(reply)) {
        return lost();
    }
    if (reply.size() != 1 + kPerLease * expected) {
        return unexpected();
    }
    std::vector<core::RenewAnswer> answers;
    answers.reserve(expected);
    for (std::size_t i = 0; i < expected; ++i) {
        const std::size_t at = 1 + kPerLease * i;
        const std::int64_t code = reply[at].integer();
        core::RenewAnswer answer{code == 1, token_in(reply[at + 1]), code == 2};
        answer.revoked = code == 3;
        answer.released = code == 4;
        const std::int64_t as = reply[at + 2].integer();
        if (as > 0) {
            answer.now = core::HeldAs{token_in(reply[at + 2]), core::Access{}};
        } else if (as < 0) {
            answer.now = core::HeldAs{core::FencingToken{static_cast<std::uint64_t>(-as)},
                                      core::Access{core::Mode::shared}};
        }
        if (reply[at + 3].integer() > 0) {
            answer.closes_in = from_us(reply[at + 3]);
        }
        answers.push_back(answer);
    }
    return answers;
}

core::StoreResult<std::vector<core::HolderState>> decode_revoke(const redis::Value& reply) {
    if (code_of(reply) == kConflict) {
        return conflict(reply[2].text());
    }
    if (code_of(reply) != 1) {
        return unexpected();
    }
    std::vector<core::HolderState> holders;
    for (std::size_t i = 2; i < reply.size(); ++i) {
        holders.push_back(holder_in(reply[i]));
    }
    return holders;
}

core::StoreResult<std::optional<core::LockState>> decode_state(const core::LockName& name,
                                                               const redis::Value& entry) {
    if (!entry.is_array()) {
        return unexpected();
    }
    if (entry.size() == 0) {
        return std::optional<core::LockState>{};
    }
    if (entry[0].is_integer()) {
        return conflict(entry[1].text());
    }
    const auto mode = mode_in(entry[0]);
    if (!mode) {
        return unexpected();
    }
    core::LockState state{name, *mode, token_in(entry[1]), token_in(entry[2])};
    state.limit = static_cast<std::uint32_t>(entry[3].integer());
    state.waiting = static_cast<std::size_t>(entry[4].integer());
    for (std::size_t i = 5; i < entry.size(); ++i) {
        state.holders.push_back(holder_in(entry[i]));
    }
    return std::optional{std::move(state)};
}

}  // namespace holdfast::store
