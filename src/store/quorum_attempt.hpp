#pragma once

// Shared by the parts of QuorumLockStore: an attempt, and how replies are read. Of quorum_*.cpp alone.

#include "store/quorum_lock_store.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::store {

inline core::Milliseconds in_ms(std::int64_t us) {
    return std::chrono::floor<core::Milliseconds>(std::chrono::microseconds{us});
}

// The longest that those who lost a vote keep away.
inline constexpr core::Duration kMostBackOff = core::Milliseconds{250};

inline core::Duration evenly(core::Duration most, core::Random& random) {
    return core::Duration{
        std::uniform_int_distribution<core::Duration::rep>{0, most.count()}(random)};
}

// Owner and metadata: the length of the owner 4 before it.
inline std::pair<std::string, std::string> texts_in(std::string_view text) {
    constexpr std::size_t kDigits = 4;
    std::size_t length = 0;
    if (text.size() < kDigits ||
        std::from_chars(text.data(), text.data() + kDigits, length).ec != std::errc{}) {
        return {};
    }
    const std::string_view rest = text.substr(kDigits);
    return {std::string{rest.substr(0, length)},
            std::string{rest.substr(std::min(length, rest.size()))}};
}

// What somebody wants, through as many tries as it takes.
struct QuorumLockStore::Attempt : std::enable_shared_from_this<Attempt> {
    Attempt(core::LockName wanted, QuorumSize size, core::TimerQueue& timers)
        : name(std::move(wanted)), votes(size, 0, false), asked(size.nodes), timer(timers) {}

    core::LockName name;
    core::Want want;
    std::string owner;
    std::string metadata;
    std::string mine;  // tickets
    std::string next;
    core::Instant give_up_at{};
    core::StoreDone<core::AcquireAnswer> done;  // empty: it has ended
    unsigned most_tries = 8;
    // The only one that was in the way, and in how many tries before this one, without a break.
    std::string rival;
    unsigned rival_for = 0;

    // Of this try.
    unsigned number = 0;
    std::string nonce;
    std::uint64_t proposal = 0;
    core::Instant sent_at{};
    Votes votes;
    std::vector<bool> asked;
    bool first_alone = false;  // only the first node has been asked
    bool over = false;         // it is undone: what comes late does not count
    core::FencingToken granted{};
    // For the others, while the first node is asked alone; for nodes that can be done without; and then for
    // the next try.
    core::Timer timer;
};

// What is still to be taken back at a node: an attempt, or a lease that has been released.
struct QuorumLockStore::Undo {
    Undo(core::LockName what, const ScriptPair& how, core::TimerQueue& timers)
        : name(std::move(what)), script(how), timer(timers) {}
    core::LockName name;
    const ScriptPair& script;
    std::size_t node = 0;
    Arguments arguments;
    core::Instant until{};  // by then all has expired
    unsigned failures = 0;
    core::Timer timer;
};

}  // namespace holdfast::store
