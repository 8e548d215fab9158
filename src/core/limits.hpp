#pragma once

// The bounds of what a client may ask for. Each check names the field, the bound and what to do.

#include "core/types.hpp"

#include <cstdint>
#include <string>

namespace holdfast::core {

struct Limits {
    static constexpr std::size_t kMaxOwnerBytes = 256;
    static constexpr std::size_t kMaxMetadataBytes = 4096;
    static constexpr std::uint32_t kMaxPermits = 10'000;
    static constexpr int kMaxPriority = 10;
    static constexpr Milliseconds kMaxLockDelay = std::chrono::minutes{1};
    static constexpr Milliseconds kMaxGrace = std::chrono::minutes{10};
    static constexpr std::uint8_t kMaxReplicas = 16;  // who can be asked to acknowledge
    static constexpr Milliseconds kLowestTtl{100};    // what min_ttl may be set to
    static constexpr Milliseconds kHighestTtl = std::chrono::hours{1};  // likewise max_ttl

    Ttl default_ttl{Milliseconds{10'000}};
    Ttl min_ttl{Milliseconds{1'000}};
    // Also how long new grants wait after the store has lost its memory, hence not large.
    Ttl max_ttl{Milliseconds{30'000}};
    Milliseconds max_wait = std::chrono::hours{24};
    Milliseconds max_hold = std::chrono::hours{24 * 30};
    std::size_t max_waiters_per_lock = 100'000;   // at this daemon
    std::size_t max_waiters = 1'000'000;          // at this daemon, of all locks together
    std::size_t max_session_leases = 100'000;     // with acquires that wait
    std::size_t max_session_operations = 10'000;  // under way
    std::uint8_t max_replicas = kMaxReplicas;     // 0: this store has none that could be asked

    Result<Ttl> check_ttl(std::uint64_t ttl_ms) const;  // 0 means default_ttl
    Result<Milliseconds> check_wait(std::uint64_t wait_ms) const;
    // 0 means none: the holder renews by itself. Otherwise at least the ttl.
    Result<Milliseconds> check_max_hold(std::uint64_t max_hold_ms, Ttl ttl) const;
    // Permits and limit are for Mode::permit alone; no permits means 1.
    static Result<Access> check_access(Mode mode, std::uint32_t permits, std::uint32_t limit);
    // Above 0 if it is wanted (on_disconnect is GRACE), 0 if not.
    static Result<Milliseconds> check_grace(std::uint64_t grace_ms, bool wanted);
    static Result<Milliseconds> check_lock_delay(std::uint64_t lock_delay_ms);
    // How many replicas have to acknowledge it: 0 if that is not asked for.
    Result<std::uint8_t> check_replicas(bool replicated, std::uint32_t replicas) const;
    static Result<int> check_priority(std::int32_t priority);
    static Result<std::string> check_owner(std::string owner);
    static Result<std::string> check_metadata(std::string metadata);
};

}  // namespace holdfast::core
