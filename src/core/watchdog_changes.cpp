// What others do to a lease that is watched: it is converted, taken away, or put in doubt.

#include "core/limits.hpp"
#include "core/watchdog.hpp"

#include <algorithm>

namespace holdfast::core {
namespace {

// Two words about the same deadline differ by the way of a message.
constexpr Duration kSameTime = std::chrono::seconds{1};
// Between two times that all are renewed, so that a store that forgets all the time is not flooded.
constexpr Duration kBetweenRenewingAll = Milliseconds{100};

}  // namespace

void Watchdog::converted(const Lease& now, Ttl ttl, Instant sent_at) {
    HeldLease* held = table_.find(now.holder);
    if (held == nullptr) {
        granted(now, {}, ttl, sent_at, {});
        return;
    }
    held->converted_at = clock_.now();
    extend(*held, ttl, sent_at);
    convert(*held, {now.token, now.access});
    arm();
}

void Watchdog::convert(HeldLease& held, const HeldAs& now) {
    if (held.lease.token != now.token || held.lease.access != now.access) {
        held.lease.token = now.token;
        held.lease.access = now.access;
        if (held.listener) {
            held.listener->converted(held.lease, held.deadline);
        }
    }
}

void Watchdog::revoked(HolderId holder,
                       Revocation how,
                       Milliseconds closes_in,
                       std::string_view reason) {
    HeldLease* held = table_.find(holder);
    if (held == nullptr) {
        return;
    }
    if (how == Revocation::yield) {
        ask_to_yield(*held, closes_in, reason);
    } else {
        // At once: another may have it already, and no deadline counts any more.
        lose(*held, how == Revocation::at_once ? LossCause::taken : LossCause::revoked, reason);
    }
}

// Once: what comes later says the same, unless it is earlier.
void Watchdog::ask_to_yield(HeldLease& held, Milliseconds closes_in, std::string_view reason) {
    const Instant closes_at = clock_.now() + closes_in;
    if (held.closes_at != kNever && closes_at + kSameTime > held.closes_at) {
        return;
    }
    held.closes_at = closes_at;
    if (held.listener) {
        held.listener->revoke_requested(held.closes_at, reason);
    }
}

// Due since the deadline less the longest ttl: in the order of deadlines, and none later than now.
void Watchdog::renew_all() {
    const Instant now = clock_.now();
    if (now < renewed_all_at_ + kBetweenRenewingAll) {
        return;
    }
    renewed_all_at_ = now;
    for (HeldLease* held : table_.all()) {
        if (held->watched()) {
            held->renew_at = std::min(held->renew_at, held->deadline - Limits::kHighestTtl);
            table_.moved(*held);
        }
    }
    arm();
}

void Watchdog::stop_renewing(HeldLease& held) {
    held.revoked = true;
    held.renew_at = kNever;
    table_.moved(held);
}

// If it has been converted meanwhile, the word is about what it was before.
void Watchdog::gone(const Lease& lease) {
    if (HeldLease* held = table_.find(lease)) {
        lose(*held, LossCause::taken, "the store says that the lease is gone");
    }
}

// Renewed when it is due, not all at once: until then nobody is granted anything.
void Watchdog::doubt(std::string_view why) {
    for (HeldLease* held : table_.all()) {
        if (held->watched()) {
            put_at_risk(*held, why);
        }
    }
}

}  // namespace holdfast::core
