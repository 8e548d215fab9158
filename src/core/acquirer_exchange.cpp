// What Acquirer sends to the store, and what it makes of the answers.

#include "core/acquirer.hpp"
#include "core/contest.hpp"
#include "core/plant.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

constexpr Backoff kStoreBackoff{Milliseconds{20}, Milliseconds{500}};
constexpr int kPollJitterPercent = 20;
// A grant of which less than a quarter is left when it is read is not given out.
constexpr int kLeastLeft = 4;
// Between looks at a lock that is held by one who tells nobody when it goes: as often as its like look at ours.
constexpr Duration kElsewherePoll = Milliseconds{100};
// Acquires that go out together: those who can share.
constexpr std::size_t kMaxBatch = 64;
// Grants in a row that were read too late, before the attempt is given up: each holds the lock.
constexpr unsigned kMaxTooLate = 3;
// After the holder's expiry, so that the store's clock has surely passed it.
constexpr Duration kExpiryMargin = Milliseconds{2};

}  // namespace

Want Acquirer::want_of(const Attempt& attempt) const {
    const AcquireRequest& request = attempt.request;
    return {.holder = *request.holder,
            .call = request.call,
            .ttl = request.ttl,
            .access = request.access,
            .upgrade = request.upgrade,
            .watched = request.watched || request.max_hold > Milliseconds{0} ||
                       request.listener != nullptr,
            .replicas = request.replicas,
            .lock_delay = request.lock_delay,
            .arrival = attempt.arrival,
            .owner = request.owner,
            .metadata = request.metadata};
}

void Acquirer::ask(Contest& contest) {
    contest.poll.cancel();
    contest.freed_meanwhile = false;
    contest.failure.reset();
    contest.held_until = clock_.now();
    contest.recovering = contest.elsewhere = false;
    const std::vector<Attempt*> batch = contest.next_batch(kMaxBatch);
    contest.under_way = batch.size();
    contest.if_granted = contest.heads_after(batch);
    contest.if_refused = contest.head_without({});
    contest.has_ticket = contest.has_ticket || contest.if_refused.has_value();
    contest.stated.reset();
    std::optional<QueueHead> mine = contest.if_refused;
    std::size_t place = 0;
    for (Attempt* attempt : batch) {
        Want want = want_of(*attempt);
        attempt->place_in_batch = place++;
        if (attempt->asks_again) {
            attempt->leaves_ticket = false;
            want.only_again = true;
            send(*attempt, want);
            continue;
        }
        want.follows = contest.if_refused.has_value() && !mine;
        attempt->leaves_ticket = mine.has_value();
        want.if_refused = std::exchange(mine, std::nullopt);  // the first tells, the others follow
        want.if_granted = contest.if_granted[attempt->place_in_batch];
        send(*attempt, want);
    }
}

void Acquirer::send(Attempt& attempt, const Want& want) {
    attempt.under_way = true;
    attempt.asked_at = attempt.sent_at = clock_.now();
    const Milliseconds timeout = std::min(options_.command_timeout, attempt.request.ttl.value);
    store_.acquire({attempt.request.name, want, timeout},
                   [this, &attempt](auto answer) { on_answer(attempt, std::move(answer)); });
}

void Acquirer::on_answer(Attempt& attempt, StoreResult<AcquireAnswer> answer) {
    Contest& contest = *attempt.contest;
    attempt.under_way = false;
    --contest.under_way;
    contest.unresolved.erase(&attempt);
    if (!answer) {
        on_failure(attempt, answer.error());
    } else {
        attempt.unknown = false;
        attempt.not_durable.clear();
        attempt.failures = 0;
        if (const auto* granted = std::get_if<Granted>(&*answer)) {
            if (!attempt.asks_again) {
                contest.stated = contest.if_granted[attempt.place_in_batch];
            }
            on_granted(attempt, *granted);
        } else if (auto* busy = std::get_if<Busy>(&*answer)) {
            if (attempt.leaves_ticket) {
                contest.stated = contest.if_refused;
            }
            on_busy(attempt, std::move(*busy));
        } else if (std::holds_alternative<NotHeld>(*answer)) {
            on_not_held(attempt);
        } else if (std::holds_alternative<Deadlocked>(*answer)) {
            end(attempt, tl::unexpected(deadlock()));
        } else {
            attempt.lingering = false;  // closed: no copy can have an effect
            end(attempt,
                attempt.request.upgrade
                    ? fail(Reason::lease_lost, "the shared lease has ended")
                    : fail(Reason::lease_lost,
                           "the lease of this request_id has ended already; use a new request_id "
                           "for a new lease"));
        }
    }
    if (!contest.asking()) {
        go_on(contest);
    }
}

void Acquirer::on_granted(Attempt& attempt, const Granted& granted) {
    Contest& contest = *attempt.contest;
    const AcquireRequest& request = attempt.request;
    const FencingToken token = granted.token;
    const Grant grant{{request.name,
                       *request.holder,
                       token,
                       request.granted_access(),
                       std::max(request.replicas, granted.replicas)},
                      request.call,
                      request.ttl,
                      HOLDFAST_PLANTED(deadline_from_reply) ? clock_.now() : attempt.sent_at};
    if (!attempt.done) {
        attempt.lingering = !HOLDFAST_PLANTED(grants_to_nobody);
        end(attempt, fail(Reason::cancelled, "the caller has gone"));
    } else if (clock_.now() >= grant.deadline() - grant.ttl.value / kLeastLeft &&
               !HOLDFAST_PLANTED(no_resend_check)) {
        // Read too late to be of use: the same id again renews it, and the count starts anew.
        if (++attempt.too_late == kMaxTooLate) {
            attempt.end_at = clock_.now();
        }
        on_failure(attempt, {StoreFailure::unknown, "the store took too long for the ttl"});
    } else {
        if (grant.lease.access.mode == Mode::exclusive) {
            contest.holder = {request.owner, token, {}};
            contest.held_until = grant.sent_at + store_hold(grant.ttl);
        }
        recorder_.record(attempt.sent_at, Happening::granted, request.name, token, request.owner);
        attempt.lingering = false;  // a late copy finds the lease held, or its id closed
        end(attempt, grant);
    }
}

void Acquirer::on_busy(Attempt& attempt, Busy busy) {
    Contest& contest = *attempt.contest;
    const Instant now = clock_.now();
    contest.holder = std::move(busy.holder);
    contest.recovering = busy.recovering;
    contest.elsewhere = busy.elsewhere;
    contest.waiting_elsewhere = busy.waiting_elsewhere;
    contest.held_until = now + contest.holder.expires_in;
    if (!attempt.done || attempt.tries_once() || attempt.end_at <= now) {
        end(attempt, tl::unexpected(refusal(attempt)));
        return;
    }
    tell_waiting(contest);
}

// Those who want to know that they wait, and do not know it yet. Each is asked once, and they are the
// last to have come: the search ends at the first who knows.
void Acquirer::tell_waiting(Contest& contest) {
    std::size_t position = contest.waiters.size();
    for (auto place = contest.waiters.rbegin(); place != contest.waiters.rend(); ++place) {
        Attempt& waiter = **place;
        if (std::exchange(waiter.knows_it_waits, true)) {
            return;
        }
        if (waiter.request.on_queued && waiter.done) {
            waiter.request.on_queued(position, contest.holder);
        }
        --position;
    }
}

Error Acquirer::deadlock() {
    return {
        Reason::deadlock,
        "another holder waits already to have the lock for itself, and this lease stands in its "
        "way; release it"};
}

// The lease of a retry does not stand (any more): it waits like everybody else.
void Acquirer::on_not_held(Attempt& attempt) {
    attempt.asks_again = false;
    const bool too_late = attempt.tries_once() ? !attempt.contest->waiters.empty()  // no barging
                                               : attempt.end_at <= clock_.now();
    if (!attempt.done || too_late) {
        end(attempt, tl::unexpected(refusal(attempt)));
    }
}

void Acquirer::on_failure(Attempt& attempt, const StoreError& error) {
    if (error.failure == StoreFailure::mode_conflict) {
        end(attempt, fail(Reason::mode_conflict, error.message));
        return;
    }
    Contest& contest = *attempt.contest;
    const Instant now = clock_.now();
    contest.failure = error;
    contest.stated.reset();
    ++attempt.failures;
    if (error.failure == StoreFailure::unknown) {
        if (!attempt.lingering && !turned_away()) {
            // A release that brought it along may have been repeated for long.
            const Instant most =
                attempt.asked_at + options_.command_timeout + options_.resolve_window;
            const Instant resolved_by = std::min(now + options_.resolve_window, most);
            attempt.end_at =
                std::min(std::max(attempt.end_at, resolved_by), attempt.request.call_deadline);
        }
        attempt.lingering = attempt.unknown = true;
        attempt.quiet_after = now + options_.command_timeout;
    }
    if (error.failure == StoreFailure::not_durable) {
        on_not_durable(attempt, error);
    }
    const bool may_ask_again = attempt.lingering && attempt.not_durable.empty();
    if (!attempt.done || attempt.end_at <= now || (attempt.tries_once() && !may_ask_again)) {
        end(attempt, tl::unexpected(refusal(attempt)));
        return;
    }
    if (attempt.lingering) {
        contest.unresolved.insert(&attempt);
        attempt.wait_over.set(attempt.end_at, [this, &attempt] { on_wait_over(attempt); });
    }
}

// The store has granted it, and does no more. An upgrade is not undone: the lease stands, in either mode.
void Acquirer::on_not_durable(Attempt& attempt, const StoreError& error) {
    attempt.lingering = true;
    attempt.quiet_after = std::max(attempt.quiet_after, clock_.now());
    attempt.unknown = attempt.request.upgrade;
    attempt.not_durable = error.message;
}

// After the answers: to the next attempts, or to rest, or to the end of the contest.
void Acquirer::go_on(Contest& contest) {
    const bool held = contest.held_until > clock_.now() && !contest.freed_meanwhile;
    if (held || contest.failure) {
        refuse_triers(contest);
    }
    if (contest.empty()) {
        leave_if_empty(contest);
    } else if (contest.failure || (held && !contest.outdated())) {
        rest(contest);
    } else {
        ask(contest);
    }
}

void Acquirer::rest(Contest& contest) {
    const Instant now = clock_.now();
    Instant again = now + jittered(contest.elsewhere ? kElsewherePoll : options_.safety_poll,
                                   kPollJitterPercent,
                                   random_);
    if (contest.failure) {
        unsigned failures = 1;
        for (const Attempt* attempt : contest.unresolved) {
            failures = std::max(failures, attempt->failures);
        }
        again = now + kStoreBackoff.after(failures, random_);
    } else {
        again = std::min(again, contest.held_until + kExpiryMargin);
    }
    contest.poll.set(again, [this, &contest] { ask(contest); });
}

// Those who would not wait, and are not asked after themselves.
void Acquirer::refuse_triers(Contest& contest) {
    const std::vector<Attempt*> triers{contest.triers.begin(), contest.triers.end()};
    for (Attempt* trier : triers) {
        if (!contest.unresolved.contains(trier)) {
            end(*trier, tl::unexpected(refusal(*trier)));
        }
    }
}

}  // namespace holdfast::core
