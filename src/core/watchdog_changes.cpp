// What others do to a lease that is watched: it is converted, or taken away.

#include "core/watchdog.hpp"

namespace holdfast::core {
namespace {

// Two words about the same deadline differ by the way of a message.
constexpr Duration kSameTime = std::chrono::seconds{1};

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
        lose(*held, LossCause::revoked, reason);
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

}  // namespace holdfast::core
