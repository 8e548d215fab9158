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
// Acquires that go out together: those who can share.
constexpr std::size_t kMaxBatch = 64;
// Those who do not wait are refused all at once: that shall not keep the thread from its renewals.
constexpr std::size_t kMaxTriers = 10'000;
constexpr Milliseconds kRetryWhenFull{1000};
// Grants in a row that were read too late, before the attempt is given up: each holds the lock.
constexpr unsigned kMaxTooLate = 3;
// After the holder's expiry, so that the store's clock has surely passed it.
constexpr Duration kExpiryMargin = Milliseconds{2};

Error shutting_down() {
    return {Reason::draining, "this daemon is shutting down; try another"};
}

}  // namespace

Acquirer::Acquirer(const Clock& clock,
                   TimerQueue& timers,
                   LockStore& store,
                   Reaper& reaper,
                   Observer& observer,
                   Options options)
    : clock_(clock),
      timers_(timers),
      store_(store),
      reaper_(reaper),
      observer_(observer),
      options_(options),
      random_(options.seed) {}

Acquirer::~Acquirer() = default;

Acquirer::Ticket Acquirer::acquire(AcquireRequest request, Done<Grant> done) {
    const Ticket ticket = next_ticket_++;
    enqueue(ticket, std::move(request), std::move(done));
    return ticket;
}

void Acquirer::enqueue(Ticket ticket, AcquireRequest request, Done<Grant> done) {
    if (draining_) {
        done(tl::unexpected(shutting_down()));
        return;
    }
    Contest& contest = contest_of(request.name);
    if (auto full = too_many(contest, request)) {
        leave_if_empty(contest);
        done(tl::unexpected(*std::move(full)));
        return;
    }
    auto attempt = std::make_unique<Attempt>(std::move(request), std::move(done), timers_);
    Attempt& entered = *attempt;
    entered.ticket = ticket;
    attempts_.emplace(entered.ticket, std::move(attempt));
    enter(contest, entered);
}

std::optional<Error> Acquirer::too_many(const Contest& contest,
                                        const AcquireRequest& request) const {
    Error error{Reason::queue_full, ""};
    error.retry_after = kRetryWhenFull;
    if (request.wait > Milliseconds{0} && contest.waiters.size() >= options_.max_waiters_per_lock) {
        error.message = "the lock has " + std::to_string(contest.waiters.size()) +
                        " waiters here, the most allowed (limits.max_waiters_per_lock)";
    } else if (contest.triers.size() >= kMaxTriers) {
        error.message = "too many ask for this lock at once without waiting";
    } else if (attempts_.size() >= options_.max_waiters) {
        error.message = "too many acquires wait here, for all locks together (limits.max_waiters)";
    } else {
        return std::nullopt;
    }
    return error;
}

Acquirer::Contest& Acquirer::contest_of(const LockName& name) {
    if (const auto found = contests_.find(name.text()); found != contests_.end()) {
        return *found->second;
    }
    auto contest = std::make_unique<Contest>(name, timers_);
    const std::string_view key = contest->name.text();
    return *contests_.emplace(key, std::move(contest)).first->second;
}

void Acquirer::enter(Contest& contest, Attempt& attempt) {
    const bool quiet = contest.empty();
    attempt.contest = &contest;
    contest.insert(attempt);
    attempt.end_at =
        std::min(attempt.request.received_at + attempt.request.wait, attempt.request.call_deadline);
    if (!attempt.tries_once()) {
        attempt.wait_over.set(attempt.end_at, [this, &attempt] { on_wait_over(attempt); });
    }
    if (attempt.request.is_retry && !quiet) {
        attempt.asks_again = true;
        contest.unresolved.insert(&attempt);
    }
    if (contest.asking()) {
        return;  // its turn comes after the answer
    }
    if (quiet || ((contest.outdated() || attempt.asks_again) && !contest.failure)) {
        ask(contest);
    } else if (attempt.tries_once()) {
        end(attempt, tl::unexpected(refusal(attempt)));  // no barging past those who wait
    }
}

Want Acquirer::want_of(const Attempt& attempt) const {
    const AcquireRequest& request = attempt.request;
    return {.holder = *request.holder,
            .call = request.call,
            .ttl = request.ttl,
            .access = request.access,
            .upgrade = request.upgrade,
            .watched = request.max_hold > Milliseconds{0},
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
        attempt->leaves_ticket = mine.has_value();
        want.if_refused = std::exchange(mine, std::nullopt);  // the first tells, the others follow
        want.if_granted = contest.if_granted[attempt->place_in_batch];
        send(*attempt, want);
    }
}

void Acquirer::send(Attempt& attempt, const Want& want) {
    attempt.under_way = true;
    attempt.sent_at = clock_.now();
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
        attempt.failures = 0;
        if (const auto* granted = std::get_if<Granted>(&*answer)) {
            if (!attempt.asks_again) {
                contest.stated = contest.if_granted[attempt.place_in_batch];
            }
            on_granted(attempt, granted->token);
        } else if (auto* busy = std::get_if<Busy>(&*answer)) {
            if (attempt.leaves_ticket) {
                contest.stated = contest.if_refused;
            }
            on_busy(attempt, std::move(*busy));
        } else if (std::holds_alternative<NotHeld>(*answer)) {
            on_not_held(attempt);
        } else if (std::holds_alternative<Deadlocked>(*answer)) {
            end(attempt,
                fail(Reason::deadlock,
                     "another holder waits already to have the lock for itself; release this "
                     "lease"));
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

void Acquirer::on_granted(Attempt& attempt, FencingToken token) {
    Contest& contest = *attempt.contest;
    const AcquireRequest& request = attempt.request;
    const Grant grant{{request.name, *request.holder, token, request.granted_access()},
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
        attempt.lingering = false;  // a late copy finds the lease held, or its id closed
        end(attempt, grant);
    }
}

void Acquirer::on_busy(Attempt& attempt, Busy busy) {
    Contest& contest = *attempt.contest;
    const Instant now = clock_.now();
    contest.holder = std::move(busy.holder);
    contest.waiting_elsewhere = busy.waiting_elsewhere;
    contest.held_until = now + contest.holder.expires_in;
    if (!attempt.done || attempt.tries_once() || attempt.end_at <= now) {
        end(attempt, tl::unexpected(refusal(attempt)));
    }
}

// The lease of a retry does not stand (any more): it waits like everybody else.
void Acquirer::on_not_held(Attempt& attempt) {
    attempt.asks_again = false;
    if (!attempt.done || attempt.end_at <= clock_.now()) {
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
        if (!attempt.lingering && !draining_) {
            attempt.end_at = std::min(std::max(attempt.end_at, now + options_.resolve_window),
                                      attempt.request.call_deadline);
        }
        attempt.lingering = attempt.unknown = true;
        attempt.quiet_after = now + options_.command_timeout;
    }
    if (!attempt.done || attempt.end_at <= now || (attempt.tries_once() && !attempt.lingering)) {
        end(attempt, tl::unexpected(refusal(attempt)));
        return;
    }
    if (attempt.lingering) {
        contest.unresolved.insert(&attempt);
        attempt.wait_over.set(attempt.end_at, [this, &attempt] { on_wait_over(attempt); });
    }
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
    Instant again = now + jittered(options_.safety_poll, kPollJitterPercent, random_);
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

void Acquirer::on_wait_over(Attempt& attempt) {
    if (!attempt.under_way) {  // else its answer is on the way and decides
        withdraw(attempt, tl::unexpected(refusal(attempt)));
    }
}

void Acquirer::cancel(Ticket ticket) {
    const auto found = attempts_.find(ticket);
    if (found == attempts_.end()) {
        return;
    }
    Attempt& attempt = *found->second;
    if (attempt.done) {
        attempt.done = nullptr;
        ++ghosts_;
    }
    if (!attempt.under_way) {
        withdraw(attempt, fail(Reason::cancelled, "the caller has gone"));
    }
}

void Acquirer::freed(const LockName& name) {
    const auto found = contests_.find(name.text());
    if (found == contests_.end()) {
        return;
    }
    Contest& contest = *found->second;
    if (contest.asking() || answering_) {
        contest.freed_meanwhile = true;
    } else if (!contest.failure) {
        ask(contest);
    }
}

std::optional<Acquirer::Offer> Acquirer::offer(const LockName& name) {
    const auto found = contests_.find(name.text());
    if (found == contests_.end() || draining_ || answering_) {
        return std::nullopt;
    }
    Contest& contest = *found->second;
    if (contest.asking() || contest.failure || !contest.unresolved.empty() ||
        contest.waiters.empty()) {
        return std::nullopt;
    }
    Attempt& first = **contest.waiters.begin();
    contest.poll.cancel();
    contest.freed_meanwhile = false;
    contest.held_until = clock_.now();
    contest.under_way = 1;
    contest.has_ticket = true;
    first.under_way = first.leaves_ticket = true;
    contest.stated.reset();
    Want want = want_of(first);
    want.if_refused = contest.if_refused = contest.head_without({});
    contest.if_granted = contest.heads_after({&first});
    want.if_granted = contest.if_granted.front();
    first.place_in_batch = 0;
    return Offer{first.ticket, want};
}

void Acquirer::offer_sent(Ticket ticket) {
    attempts_.at(ticket)->sent_at = clock_.now();
}

void Acquirer::handed(Ticket ticket, StoreResult<AcquireAnswer> answer) {
    on_answer(*attempts_.at(ticket), std::move(answer));
}

void Acquirer::drain() {
    draining_ = true;
    std::vector<Attempt*> resting;
    for (const auto& [ticket, attempt] : attempts_) {
        if (attempt->under_way) {
            attempt->end_at = clock_.now();  // the answer on its way is the last
        } else {
            resting.push_back(attempt.get());
        }
    }
    for (Attempt* attempt : resting) {
        withdraw(*attempt, tl::unexpected(shutting_down()));
    }
}

// Ends an attempt outside of an answer: its contest may have nobody left, or another first waiter,
// for whom our ticket then has to stand.
void Acquirer::withdraw(Attempt& attempt, Result<Grant> result) {
    Contest& contest = *attempt.contest;
    end(attempt, std::move(result));
    if (contest.asking()) {
        return;
    }
    if (contest.empty()) {
        leave_if_empty(contest);
    } else if (contest.outdated() && !contest.failure && !draining_) {
        ask(contest);
    }
}

void Acquirer::leave_if_empty(Contest& contest) {
    if (!contest.empty()) {
        return;
    }
    if (contest.has_ticket) {
        // If this is lost, the ticket ends by itself, as nobody refreshes it.
        store_.leave(contest.name, options_.command_timeout, [](const auto&) {});
    }
    contests_.erase(contest.name.text());
}

// The one place where an attempt ends. The caller sees to the contest afterwards.
void Acquirer::end(Attempt& attempt, Result<Grant> result) {
    Contest& contest = *attempt.contest;
    contest.erase(attempt);
    if (attempt.lingering) {
        if (attempt.unknown) {
            observer_.outcome_unknown(attempt.request.name);
        }
        reaper_.take({attempt.request.name,
                      *attempt.request.holder,
                      attempt.request.call,
                      FencingToken{},
                      attempt.request.ttl,
                      attempt.quiet_after});
    }
    const auto node = attempts_.extract(attempt.ticket);
    if (node.mapped()->done) {
        answering_ = true;
        node.mapped()->done(std::move(result));
        answering_ = false;
    } else {
        --ghosts_;
    }
}

Error Acquirer::refusal(const Attempt& attempt) const {
    const Contest& contest = *attempt.contest;
    if (attempt.unknown) {
        return {Reason::outcome_unknown,
                "the store's answer was lost and could not be had again in time; the lock is not "
                "yours, and what may have been granted is being undone"};
    }
    if (draining_) {
        return shutting_down();
    }
    if (contest.failure) {
        return {Reason::store_unavailable, "the store did not answer: " + contest.failure->message};
    }
    const Milliseconds left = remaining(clock_.now(), contest.held_until);
    const std::size_t queue = contest.waiters.size() + contest.waiting_elsewhere;
    Error error{Reason::lock_held,
                contest.holder.token.value == 0
                    ? "others wait for the lock"
                    : "the lock is held by \"" + contest.holder.owner + "\" for up to " +
                          std::to_string(left.count()) + " ms more, unless renewed"};
    error.metadata = {{"holder_owner", contest.holder.owner},
                      {"holder_token", std::to_string(contest.holder.token.value)},
                      {"remaining_ms", std::to_string(left.count())},
                      {"queue_length", std::to_string(queue)}};
    return error;
}

}  // namespace holdfast::core
