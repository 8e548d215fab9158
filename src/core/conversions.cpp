// What LockManager does to leases that are held: converts them, and takes them away.

#include "core/lock_manager.hpp"

#include <utility>

namespace holdfast::core {

LockManager::Ticket LockManager::convert(ConvertRequest request, Done<Grant> done) {
    const HeldLease* held = watchdog_.find(request.lease.holder);
    const Ttl ttl = held != nullptr ? held->ttl : options_.default_ttl;
    const bool watched = held != nullptr && held->watched();
    if (request.lease.access.mode == Mode::permit) {
        done(invalid("lease_id", "it is a lease of permits, which has no other mode"));
        return 0;
    }
    if (request.mode == Mode::shared && request.lease.access.mode == Mode::shared) {
        // As it is, unless an answer was lost: the renewal says how it is held.
        renew(std::move(request.lease), ttl, request.times, std::move(done));
        return 0;
    }
    if (request.mode == Mode::shared) {
        downgrade(std::move(request), ttl, std::move(done));
        return 0;
    }
    AcquireRequest upgrade{std::move(request.lease.name)};
    upgrade.holder = request.lease.holder;
    upgrade.call = ids_.next();
    upgrade.ttl = ttl;
    upgrade.wait = request.wait;
    upgrade.access = Access{Mode::shared};
    upgrade.upgrade = true;
    upgrade.replicas = request.lease.replicas;
    upgrade.watched = watched;
    upgrade.received_at = request.times.received_at;
    upgrade.call_deadline = request.times.deadline;
    return acquirer_.acquire(std::move(upgrade),
                             [this, done = std::move(done)](Result<Grant> grant) mutable {
                                 if (grant) {
                                     watchdog_.converted(grant->lease, grant->ttl, grant->sent_at);
                                 }
                                 done(std::move(grant));
                             });
}

void LockManager::downgrade(ConvertRequest request, Ttl ttl, Done<Grant> done) {
    StoreRetry<RenewAnswer>::run(
        clock_,
        timers_,
        random_,
        give_up_at(request.times.deadline),
        [this, lease = request.lease, ttl](StoreDone<RenewAnswer> answered) {
            store_.downgrade(lease, ttl, options_.command_timeout, std::move(answered));
        },
        [this, lease = request.lease, ttl, done = std::move(done)](Result<RenewAnswer> answer,
                                                                   Instant sent_at) mutable {
            Result<Grant> grant = answer.and_then([&](const RenewAnswer& known) {
                return confirmed({lease, ttl}, known, sent_at);
            });
            if (grant) {
                watchdog_.converted(grant->lease, ttl, sent_at);
                acquirer_.freed(grant->lease.name);  // for those who want to share
            }
            done(std::move(grant));
        });
}

void LockManager::revoke(RevokeRequest request,
                         Instant call_deadline,
                         Done<std::vector<HolderState>> done) {
    const auto what = std::make_shared<const RevokeRequest>(std::move(request));
    StoreRetry<std::vector<HolderState>>::run(
        clock_,
        timers_,
        random_,
        give_up_at(call_deadline),
        [this, what](StoreDone<std::vector<HolderState>> answered) {
            store_.revoke({what->name, what->token, what->how, what->closes_in, what->reason},
                          options_.command_timeout,
                          std::move(answered));
        },
        [this, what, done = std::move(done)](Result<std::vector<HolderState>> holders,
                                             Instant) mutable {
            done(std::move(holders));
            if (what->how == Revocation::at_once) {
                acquirer_.freed(what->name);
            }
        });
}

}  // namespace holdfast::core
