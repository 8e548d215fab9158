#include "core/lock_manager.hpp"

#include "core/plant.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::core {
namespace {

Error as_error(const StoreError& error) {
    switch (error.failure) {
        case StoreFailure::mode_conflict:
            return {Reason::mode_conflict, error.message};
        case StoreFailure::not_executed:
        case StoreFailure::unknown:  // of a read: nothing can have been done
        case StoreFailure::not_durable:
            break;
    }
    return {Reason::store_unavailable, "the store did not answer: " + error.message};
}

void age(LockState& state, Milliseconds by) {
    std::erase_if(state.holders, [by](HolderState& holder) {
        holder.summary.expires_in -= by;
        return holder.summary.expires_in <= Milliseconds{0};
    });
}

void age(std::optional<LockState>& state, Milliseconds by) {
    if (state) {
        age(*state, by);
    }
}

void age(LockPage& page, Milliseconds by) {
    for (LockState& state : page.locks) {
        age(state, by);
    }
    std::erase_if(page.locks, [](const LockState& state) { return state.holders.empty(); });
}

// A read: one try, and its failure changes nothing. What it says of time is taken as of its sending,
// so that nothing is said to be held that has ended while the answer was on its way.
template <class T>
StoreDone<T> passed_on(const Clock& clock, Done<T> done) {
    return [&clock, sent_at = clock.now(), done = std::move(done)](StoreResult<T> answer) mutable {
        if (answer) {
            age(*answer, remaining(sent_at, clock.now()));
            done(*std::move(answer));
        } else {
            done(tl::unexpected(as_error(answer.error())));
        }
    };
}

Instant watch_until(Instant from, Milliseconds max_hold) {
    return max_hold > Milliseconds{0} ? from + max_hold : kNever;
}

Failed lease_lost(const RenewAnswer& answer, FencingToken ours) {
    Failed lost =
        fail(Reason::lease_lost,
             "the lease has expired or was taken; stop using what it protects, and acquire "
             "anew");
    if (answer.newest > ours) {
        lost.value().metadata = {{"newer_token", std::to_string(answer.newest.value)}};
    }
    return lost;
}

}  // namespace

LockManager::LockManager(const Clock& clock,
                         TimerQueue& timers,
                         LockStore& store,
                         HolderIdSource& ids,
                         Observer& observer,
                         ChangeFeed& feed,
                         Options options)
    : clock_(clock),
      timers_(timers),
      store_(store),
      ids_(ids),
      options_(options),
      random_(options.seed),
      watchdog_(
          clock, timers, store, observer, recorder_, {options.command_timeout, options.seed + 1}),
      reaper_(clock,
              timers,
              store,
              {.command_timeout = options.command_timeout, .seed = options.seed + 2}),
      acquirer_(clock,
                timers,
                store,
                reaper_,
                observer,
                recorder_,
                {options.command_timeout,
                 options.resolve_window,
                 options.safety_poll,
                 options.max_waiters_per_lock,
                 options.max_waiters,
                 options.seed + 3}),
      watchers_(clock, timers, store, feed, options.command_timeout) {}

LockManager::Ticket LockManager::acquire(AcquireRequest request, Done<Grant> done) {
    const Milliseconds max_hold = request.max_hold;
    request.is_retry = request.holder.has_value() && !request.holder_is_new;
    request.call = ids_.next();
    if (!request.holder) {
        request.holder = request.call;
    }
    Done<Grant> watched = [this, max_hold, listener = request.listener, done = std::move(done)](
                              Result<Grant> grant) mutable {
        if (grant) {
            watchdog_.granted(grant->lease,
                              grant->call,
                              grant->ttl,
                              grant->sent_at,
                              {watch_until(grant->sent_at, max_hold), std::move(listener)});
        }
        done(std::move(grant));
        if (draining_) {
            watchdog_.drain();
        }
    };
    return acquirer_.acquire(std::move(request), std::move(watched));
}

void LockManager::cancel_acquire(Ticket ticket) {
    acquirer_.cancel(ticket);
}

void LockManager::abandon(const Grant& grant) {
    watchdog_.forget(grant.lease, grant.call);
    reaper_.take({grant.lease.name,
                  grant.lease.holder,
                  grant.call,
                  FencingToken{},
                  grant.ttl,
                  clock_.now()});
    acquirer_.freed(grant.lease.name);
}

Instant LockManager::give_up_at(Instant call_deadline) const {
    return std::min(call_deadline, clock_.now() + options_.resolve_window);
}

void LockManager::release(Lease lease, Instant call_deadline, Done<Released> done) {
    // The holder has stopped before it sent this, so nothing is promised any more.
    const bool held = watchdog_.holds(lease);
    watchdog_.stop_renewing(lease);
    const auto offer = acquirer_.offer(lease.name);  // to hand the lock on to, in the same step
    StoreRetry<ReleaseAnswer>::run(
        clock_,
        timers_,
        random_,
        give_up_at(call_deadline),
        [this, lease, offer](StoreDone<ReleaseAnswer> answered) {
            std::optional<Want> next;
            if (offer) {
                acquirer_.offer_sent(offer->ticket);
                next = offer->want;
            }
            store_.release(lease, next, options_.command_timeout, std::move(answered));
        },
        [this, lease, held, offer, done = std::move(done)](Result<ReleaseAnswer> answer,
                                                           Instant) mutable {
            if (!answer && answer.error().reason == Reason::outcome_unknown) {
                reaper_.take({lease.name,
                              lease.holder,
                              HolderId{},
                              lease.token,
                              options_.max_ttl,
                              clock_.now()});
            }
            // First the one who released: what comes next may take a while.
            Result<Released> verdict = answer.and_then(
                [&](const ReleaseAnswer& known) { return released(lease, held, known); });
            if (verdict) {
                if (verdict->verdict == Verdict::held_throughout) {
                    recorder_.record(clock_.now(), Happening::released, lease.name, lease.token);
                }
                watchdog_.ended(lease, *verdict);
            } else if (verdict.error().reason == Reason::not_found) {
                watchdog_.gone(lease);
            }
            done(std::move(verdict));
            if (offer) {
                acquirer_.handed(offer->ticket, handed(answer));
            } else {
                acquirer_.freed(lease.name);
            }
        });
}

// What a release did for the waiter that it brought along.
StoreResult<AcquireAnswer> LockManager::handed(const Result<ReleaseAnswer>& answer) {
    if (answer && answer->handed) {
        return *answer->handed;
    }
    const bool undone = answer || answer.error().reason != Reason::outcome_unknown;
    return tl::unexpected(
        StoreError{undone ? StoreFailure::not_executed : StoreFailure::unknown,
                   answer ? "the release came too late to hand on" : answer.error().message});
}

// `held`: the lease's time had certainly not run out. A store that does not know so has lost its memory;
// but it has granted the lock to nobody since, or it would say that.
Result<Released> LockManager::released(const Lease& lease, bool held, const ReleaseAnswer& answer) {
    const auto* ended = std::get_if<Released>(&answer.ended);
    if (held && (ended == nullptr || ended->verdict == Verdict::already_expired)) {
        return Released{Verdict::held_throughout, {}};
    }
    if (ended != nullptr) {
        return *ended;
    }
    return fail(Reason::not_found,
                "the store has no trace of this lease of \"" + lease.name.text() +
                    "\": it ended long ago, or the store has lost its memory since");
}

void LockManager::renew(Lease lease, Ttl ttl, CallTimes times, Done<Grant> done) {
    const bool held = watchdog_.holds(lease);
    const RenewCommand command{std::move(lease), ttl, held};
    StoreRetry<std::vector<RenewAnswer>>::run(
        clock_,
        timers_,
        random_,
        give_up_at(times.deadline),
        [this, command](StoreDone<std::vector<RenewAnswer>> answered) {
            store_.renew(std::span{&command, 1}, options_.command_timeout, std::move(answered));
        },
        [this, command, received_at = times.received_at, done = std::move(done)](
            Result<std::vector<RenewAnswer>> answers, Instant sent_at) mutable {
            if (HOLDFAST_PLANTED(unknown_renewal_extends) && !answers) {
                answers = std::vector<RenewAnswer>{{true, {}}};
            }
            Result<Grant> grant = answers.and_then([&](const std::vector<RenewAnswer>& known) {
                return confirmed(command, known.front(), sent_at);
            });
            if (grant) {
                watchdog_.renewed(grant->lease, command.ttl, sent_at, received_at);
            }
            done(std::move(grant));
        });
}

Result<Grant> LockManager::confirmed(const RenewCommand& command,
                                     const RenewAnswer& answer,
                                     Instant sent_at) {
    if (answer.recovering) {
        return tl::unexpected(recovering(options_.command_timeout));
    }
    if (answer.not_durable) {
        return fail(
            Reason::not_durable,
            "too few replicas of the store have acknowledged it in time: the lease is yours "
            "until the deadline that you were told before, unless it is renewed again");
    }
    if (!answer.failure.empty()) {
        return fail(Reason::outcome_unknown, answer.failure);
    }
    if (answer.revoked) {
        Failed revoked =
            fail(Reason::lease_lost,
                 "an operator has taken the lock away, and the lease is not renewed any more: stop "
                 "using what it protects by the deadline that you were told");
        revoked.value().metadata = {{"revoked", "true"}};
        return revoked;
    }
    if (answer.released) {
        watchdog_.ended(command.lease.holder, {Verdict::held_throughout, {}});
        return fail(Reason::lease_lost, "the lease has been released");
    }
    if (!answer.renewed) {
        watchdog_.gone(command.lease);
        return lease_lost(answer, command.lease.token);
    }
    Grant grant{command.lease, HolderId{}, command.ttl, sent_at};
    grant.lease.replicas = std::max(grant.lease.replicas, answer.replicas);
    if (answer.now) {  // it has been converted since the caller heard of it
        grant.lease.token = answer.now->token;
        grant.lease.access = answer.now->access;
    }
    if (clock_.now() >= grant.deadline()) {
        return fail(Reason::outcome_unknown, "the store answered only after the ttl");
    }
    return grant;
}

void LockManager::inspect(LockName name, Done<std::optional<LockState>> done) {
    store_.inspect(name, options_.command_timeout, passed_on(clock_, std::move(done)));
}

void LockManager::list(std::string prefix,
                       std::string from,
                       std::size_t limit,
                       Done<LockPage> done) {
    store_.list(prefix, from, limit, options_.command_timeout, passed_on(clock_, std::move(done)));
}

void LockManager::drain() {
    draining_ = true;
    acquirer_.drain();
    watchdog_.drain();
}

void LockManager::resume(ResumeRequest request, Done<Grant> done) {
    if (draining_) {
        done(fail(Reason::draining, "this daemon is shutting down; try another"));
        return;
    }
    const auto what = std::make_shared<ResumeRequest>(std::move(request));
    if (!wanted(*what)) {
        done(fail(Reason::lease_lost,
                  "its stream has gone, or it has been resumed here on another"));
        return;
    }
    StoreRetry<RenewAnswer>::run(
        clock_,
        timers_,
        random_,
        give_up_at(what->call_deadline),
        [this, what](StoreDone<RenewAnswer> answered) {
            store_.adopt(
                what->lease, what->ttl, what->from, options_.command_timeout, std::move(answered));
        },
        [this, what, done = std::move(done)](Result<RenewAnswer> answer, Instant sent_at) mutable {
            Result<Grant> grant = answer.and_then([&](const RenewAnswer& known) {
                return confirmed({what->lease, what->ttl}, known, sent_at);
            });
            if (grant) {
                watchdog_.resume(grant->lease,
                                 what->ttl,
                                 sent_at,
                                 {watch_until(sent_at, what->max_hold), what->listener});
            }
            done(std::move(grant));
            if (draining_) {
                watchdog_.drain();
            }
        },
        [this, what] { return wanted(*what); });
}

// Not for a stream that has gone: its client may have resumed elsewhere by then. Nor as one that nobody
// listens for, if its client has come here meanwhile, even if it has left: that is how long it lasts.
bool LockManager::wanted(const ResumeRequest& request) {
    if (request.listener) {
        return request.listener->listens();
    }
    const HeldLease* held = watchdog_.find(request.lease.holder);
    return request.from.empty() || held == nullptr || !held->streamed;
}

void LockManager::cap(const Lease& lease, const LeaseListener* listener, Milliseconds max_hold) {
    watchdog_.cap(lease, listener, clock_.now() + max_hold);
}

void LockManager::detach(const Lease& lease, const LeaseListener* listener, Milliseconds grace) {
    watchdog_.detach(lease, listener, clock_.now() + grace);
}

LockManager::Counts LockManager::counts() const {
    return {watchdog_.held(),
            acquirer_.waiting(),
            reaper_.pending(),
            reaper_.dropped(),
            watchdog_.counters()};
}

}  // namespace holdfast::core
