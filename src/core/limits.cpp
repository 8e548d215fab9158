#include "core/limits.hpp"

#include <utility>

namespace holdfast::core {
namespace {

std::string ms(Milliseconds value) {
    return std::to_string(value.count()) + " ms";
}

// Compared unsigned, before any conversion could make a huge number small or negative.
bool above(std::uint64_t value_ms, Milliseconds bound) {
    return value_ms > static_cast<std::uint64_t>(bound.count());
}

}  // namespace

Result<Ttl> Limits::check_ttl(std::uint64_t ttl_ms) const {
    if (ttl_ms == 0) {
        return default_ttl;
    }
    const std::string asked = "ttl_ms is " + std::to_string(ttl_ms) + "; ";
    if (above(ttl_ms, max_ttl.value)) {
        return invalid("ttl_ms",
                       asked + "the longest is " + ms(max_ttl.value) +
                           " (limits.max_ttl). To hold for longer, keep a short ttl and let the "
                           "daemon renew it: set max_hold_ms");
    }
    if (!above(ttl_ms, min_ttl.value - Milliseconds{1})) {
        return invalid("ttl_ms",
                       asked + "the shortest is " + ms(min_ttl.value) +
                           " (limits.min_ttl), or 0 for the default of " + ms(default_ttl.value));
    }
    return Ttl{Milliseconds{ttl_ms}};
}

Result<Milliseconds> Limits::check_wait(std::uint64_t wait_ms) const {
    if (above(wait_ms, max_wait)) {
        return invalid("wait_ms",
                       "wait_ms is " + std::to_string(wait_ms) + "; the longest is " +
                           ms(max_wait) + "; ask again when it has passed");
    }
    return Milliseconds{wait_ms};
}

Result<Milliseconds> Limits::check_max_hold(std::uint64_t max_hold_ms, Ttl ttl) const {
    if (max_hold_ms == 0) {
        return Milliseconds{0};
    }
    const std::string asked = "max_hold_ms is " + std::to_string(max_hold_ms) + "; ";
    if (above(max_hold_ms, max_hold)) {
        return invalid("max_hold_ms", asked + "the longest is " + ms(max_hold));
    }
    const Milliseconds value{max_hold_ms};
    if (value < ttl.value) {
        return invalid("max_hold_ms",
                       asked + "it cannot be shorter than the ttl of " + ms(ttl.value) +
                           "; raise it, or lower ttl_ms");
    }
    return value;
}

Result<Access> Limits::check_access(Mode mode, std::uint32_t permits, std::uint32_t limit) {
    if (mode != Mode::permit) {
        if (permits != 0 || limit != 0) {
            return invalid(permits != 0 ? "permits" : "limit",
                           "permits and limit go with mode PERMIT only; leave them 0 or set mode");
        }
        return Access{mode};
    }
    if (limit == 0 || limit > kMaxPermits) {
        return invalid(
            "limit",
            "limit is " + std::to_string(limit) +
                "; with mode PERMIT it is 1 to 10000: how many permits there are in all");
    }
    if (permits > limit) {
        return invalid("permits",
                       "permits is " + std::to_string(permits) + "; it is at most the limit, " +
                           std::to_string(limit));
    }
    return Access{mode, permits == 0 ? 1 : permits, limit};
}

Result<Milliseconds> Limits::check_grace(std::uint64_t grace_ms, bool wanted) {
    if (wanted != (grace_ms > 0) || above(grace_ms, kMaxGrace)) {
        return invalid("grace_ms",
                       "grace_ms is " + std::to_string(grace_ms) +
                           "; with on_disconnect GRACE it is 1 ms to " + ms(kMaxGrace) +
                           ", else it must be left out");
    }
    return Milliseconds{grace_ms};
}

Result<Milliseconds> Limits::check_lock_delay(std::uint64_t lock_delay_ms) {
    if (above(lock_delay_ms, kMaxLockDelay)) {
        return invalid("lock_delay_ms",
                       "lock_delay_ms is " + std::to_string(lock_delay_ms) + "; the longest is " +
                           ms(kMaxLockDelay));
    }
    return Milliseconds{lock_delay_ms};
}

Result<std::uint8_t> Limits::check_replicas(bool replicated, std::uint32_t replicas) const {
    if (!replicated && replicas == 0) {
        return 0;
    }
    if (!replicated) {
        return invalid("replicas", "replicas goes with durability REPLICATED only; leave it 0");
    }
    if (max_replicas == 0) {
        return invalid("durability",
                       "durability is REPLICATED, but this store has no replicas that could be "
                       "asked; leave it out");
    }
    if (replicas == 0 || replicas > max_replicas) {
        return invalid("replicas",
                       "replicas is " + std::to_string(replicas) +
                           "; with durability REPLICATED it is 1 to " +
                           std::to_string(max_replicas));
    }
    return static_cast<std::uint8_t>(replicas);
}

Result<int> Limits::check_priority(std::int32_t priority) {
    if (priority < -kMaxPriority || priority > kMaxPriority) {
        return invalid("priority", "priority is " + std::to_string(priority) + "; it is -10 to 10");
    }
    return priority;
}

Result<std::string> Limits::check_owner(std::string owner) {
    if (owner.size() > kMaxOwnerBytes || !is_clean_utf8(owner)) {
        return invalid("owner",
                       "owner has " + std::to_string(owner.size()) +
                           " bytes; it is at most 256 bytes of UTF-8 without control characters");
    }
    return owner;
}

Result<std::string> Limits::check_metadata(std::string metadata) {
    if (metadata.size() > kMaxMetadataBytes) {
        return invalid("metadata",
                       "metadata has " + std::to_string(metadata.size()) +
                           " bytes; it has at most 4096; keep larger data elsewhere and put a "
                           "reference here");
    }
    return metadata;
}

}  // namespace holdfast::core
