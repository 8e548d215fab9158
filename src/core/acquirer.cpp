#include "core/acquirer.hpp"

#include "core/contest.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

constexpr Backoff kStoreBackoff{Milliseconds{20}, Milliseconds{500}};
constexpr int kPollJitterPercent = 20;
// A grant of which less than a quarter is left when it is read is not given out.
constexpr int kLeastLeft = 4;
// After the holder's expiry, so that the store's clock has surely passed it.
constexpr Duration kExpiryMargin = Milliseconds{2};

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
        done(fail(Reason::draining, "this daemon is shutting down; try another"));
        return;
    }
    Contest& contest = contest_of(request.name);
    if (contest.waiters.size() >= options_.max_waiters_per_lock) {
        done(fail(Reason::queue_full,
                  "the lock has " + std::to_string(contest.waiters.size()) +
                      " waiters here, the most allowed (limits.max_waiters_per_lock)"));
        return;
    }
    auto attempt = std::make_unique<Attempt>(std::move(request), std::move(done), timers_);
    Attempt& entered = *attempt;
    entered.ticket = ticket;
    attempts_.emplace(entered.ticket, std::move(attempt));
    enter(contest, entered);
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
    auto& queue = contest.queue_of(attempt);
    attempt.place = queue.insert(queue.end(), &attempt);
    attempt.end_at =
        std::min(attempt.request.received_at + attempt.request.wait, attempt.request.call_deadline);
    if (!attempt.tries_once()) {
        attempt.wait_over.set(attempt.end_at, [this, &attempt] { on_wait_over(attempt); });
    }
    if (quiet) {
        try_head(contest);
    } else if (attempt.tries_once() && !contest.trying) {
        end(attempt,
            tl::unexpected(refusal(attempt)));  // others wait already; no barging past them
    }
}

void Acquirer::try_head(Contest& contest) {
    if (contest.head == nullptr) {
        contest.head = contest.first();
    }
    Attempt& head = *contest.head;
    contest.poll.cancel();
    contest.trying = true;
    contest.freed_meanwhile = false;
    head.sent_at = clock_.now();
    const AcquireRequest& request = head.request;
    const Milliseconds timeout = std::min(options_.command_timeout, request.ttl.value);
    store_.acquire({request.name,
                    *request.holder,
                    request.call,
                    request.ttl,
                    request.owner,
                    request.metadata,
                    timeout},
                   [this, &contest](auto answer) { on_answer(contest, std::move(answer)); });
}

void Acquirer::on_answer(Contest& contest, StoreResult<AcquireAnswer> answer) {
    contest.trying = false;
    contest.failure.reset();
    Attempt& head = *contest.head;
    if (!answer) {
        on_failure(contest, answer.error());
        return;
    }
    head.unknown = false;
    head.failures = 0;
    if (const auto* granted = std::get_if<Granted>(&*answer)) {
        on_granted(contest, granted->token);
    } else if (auto* busy = std::get_if<Busy>(&*answer)) {
        on_busy(contest, std::move(busy->holder));
    } else {
        head.lingering = false;  // closed: no copy can have an effect
        end(head,
            fail(Reason::lease_lost,
                 "the lease of this request_id has ended already; use a new request_id for a new "
                 "lease"));
        go_on(contest);
    }
}

void Acquirer::on_granted(Contest& contest, FencingToken token) {
    Attempt& head = *contest.head;
    const Grant grant{{head.request.name, *head.request.holder, token},
                      head.request.call,
                      head.request.ttl,
                      head.sent_at};
    if (!head.done) {
        head.lingering = true;
        end(head, fail(Reason::cancelled, "the caller has gone"));
    } else if (clock_.now() >= grant.deadline() - grant.ttl.value / kLeastLeft) {
        // Read too late to be of use: the same id again renews it, and the count starts anew.
        on_failure(contest, {StoreFailure::unknown, "the store took too long for the ttl"});
        return;
    } else {
        contest.holder = {head.request.owner, token, {}};
        contest.held_until = grant.sent_at + store_hold(grant.ttl);
        head.lingering = false;  // a late copy finds the lease held, or its id closed
        end(head, grant);
    }
    go_on(contest);
}

void Acquirer::on_busy(Contest& contest, HolderSummary holder) {
    const Instant now = clock_.now();
    contest.holder = std::move(holder);
    contest.held_until = now + contest.holder.expires_in;
    Attempt& head = *contest.head;
    contest.head = nullptr;
    if (!head.done || head.tries_once() || head.end_at <= now) {
        end(head, tl::unexpected(refusal(head)));
    }
    go_on(contest);
}

void Acquirer::on_failure(Contest& contest, const StoreError& error) {
    Attempt& head = *contest.head;
    if (error.failure == StoreFailure::mode_conflict) {
        end(head, fail(Reason::mode_conflict, error.message));
        go_on(contest);
        return;
    }
    const Instant now = clock_.now();
    contest.failure = error;
    ++head.failures;
    if (error.failure == StoreFailure::unknown) {
        if (!head.lingering) {
            head.end_at = std::min(std::max(head.end_at, now + options_.resolve_window),
                                   head.request.call_deadline);
        }
        head.lingering = head.unknown = true;
        head.quiet_after = head.sent_at + options_.command_timeout;
    }
    if (!head.done || head.end_at <= now || (head.tries_once() && !head.lingering)) {
        end(head, tl::unexpected(refusal(head)));
        refuse_triers(contest);
        go_on(contest);
        return;
    }
    resend(contest, kStoreBackoff.after(head.failures, random_));
}

// The head's acquire once more, with the same holder id. Nobody else is asked for meanwhile.
void Acquirer::resend(Contest& contest, Duration delay) {
    refuse_triers(contest);
    Attempt& head = *contest.head;
    const Instant again = clock_.now() + delay;
    contest.poll.set(again, [this, &contest] { try_head(contest); });
    if (!head.tries_once() || head.lingering) {
        head.wait_over.set(head.end_at, [this, &head] { on_wait_over(head); });
    }
}

// After an answer: to the next attempt, or to rest, or to the end of the contest.
void Acquirer::go_on(Contest& contest) {
    const bool held = contest.held_until > clock_.now() && !contest.freed_meanwhile;
    if (held) {
        refuse_triers(contest);
    }
    if (contest.empty()) {
        contests_.erase(contest.name.text());
    } else if (held || contest.failure) {
        rest(contest);
    } else {
        try_head(contest);
    }
}

void Acquirer::rest(Contest& contest) {
    const Instant now = clock_.now();
    if (contest.failure) {
        contest.poll.set(now + kStoreBackoff.after(1, random_),
                         [this, &contest] { try_head(contest); });
        return;
    }
    const Instant safety = now + jittered(options_.safety_poll, kPollJitterPercent, random_);
    contest.poll.set(std::min(safety, contest.held_until + kExpiryMargin),
                     [this, &contest] { try_head(contest); });
}

// Those who would not wait, and are not under way themselves.
void Acquirer::refuse_triers(Contest& contest) {
    const std::vector<Attempt*> triers{contest.triers.begin(), contest.triers.end()};
    for (Attempt* trier : triers) {
        if (trier != contest.head) {
            end(*trier, tl::unexpected(refusal(*trier)));
        }
    }
}

void Acquirer::on_wait_over(Attempt& attempt) {
    Contest& contest = *attempt.contest;
    if (contest.trying && contest.head == &attempt) {
        return;  // its answer is on the way and decides
    }
    withdraw(attempt, tl::unexpected(refusal(attempt)));
}

void Acquirer::cancel(Ticket ticket) {
    claims_.erase(ticket);
    const auto found = attempts_.find(ticket);
    if (found == attempts_.end()) {
        return;
    }
    Attempt& attempt = *found->second;
    if (attempt.done) {
        attempt.done = nullptr;
        ++ghosts_;
    }
    Contest& contest = *attempt.contest;
    if (!(contest.trying && contest.head == &attempt)) {
        withdraw(attempt, fail(Reason::cancelled, "the caller has gone"));
    }
}

Acquirer::Ticket Acquirer::claim_again(AcquireRequest request, Done<Grant> done) {
    const Ticket ticket = next_ticket_++;
    claims_.insert(ticket);
    const auto asked = std::make_shared<AcquireRequest>(std::move(request));
    const Instant sent_at = clock_.now();
    const Milliseconds timeout = std::min(options_.command_timeout, asked->ttl.value);
    store_.acquire(
        {asked->name,
         *asked->holder,
         asked->call,
         asked->ttl,
         asked->owner,
         asked->metadata,
         timeout},
        [this, ticket, asked, sent_at, done = std::move(done)](auto answer) mutable {
            if (claims_.erase(ticket) == 0) {
                return;  // cancelled; the lease is the earlier call's
            }
            const auto* granted = answer ? std::get_if<Granted>(&*answer) : nullptr;
            const Grant grant{
                {asked->name, *asked->holder, granted != nullptr ? granted->token : FencingToken{}},
                asked->call,
                asked->ttl,
                sent_at};
            if (granted != nullptr && clock_.now() < grant.deadline()) {
                done(grant);
            } else {
                enqueue(ticket, std::move(*asked), std::move(done));
            }
        });
    return ticket;
}

void Acquirer::freed(const LockName& name) {
    const auto found = contests_.find(name.text());
    if (found == contests_.end()) {
        return;
    }
    Contest& contest = *found->second;
    if (contest.trying || answering_) {
        contest.freed_meanwhile = true;
    } else if (!contest.failure) {
        try_head(contest);
    }
}

void Acquirer::drain() {
    draining_ = true;
    std::vector<Attempt*> resting;
    for (const auto& [ticket, attempt] : attempts_) {
        if (attempt->contest->trying && attempt->contest->head == attempt.get()) {
            attempt->end_at = clock_.now();  // the answer on its way is the last
        } else {
            resting.push_back(attempt.get());
        }
    }
    for (Attempt* attempt : resting) {
        withdraw(*attempt, fail(Reason::draining, "this daemon is shutting down; try another"));
    }
}

// Ends an attempt outside of an answer: its contest may have nobody left.
void Acquirer::withdraw(Attempt& attempt, Result<Grant> result) {
    Contest& contest = *attempt.contest;
    end(attempt, std::move(result));
    if (contest.empty()) {
        contests_.erase(contest.name.text());
    }
}

// The one place where an attempt ends. The caller sees to the contest afterwards.
void Acquirer::end(Attempt& attempt, Result<Grant> result) {
    Contest& contest = *attempt.contest;
    if (contest.head == &attempt) {
        contest.head = nullptr;
    }
    contest.queue_of(attempt).erase(attempt.place);
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
    if (contest.failure) {
        return {Reason::store_unavailable, "the store did not answer: " + contest.failure->message};
    }
    const Milliseconds left = remaining(clock_.now(), contest.held_until);
    Error error{Reason::lock_held,
                "the lock is held by \"" + contest.holder.owner + "\" for up to " +
                    std::to_string(left.count()) + " ms more, unless renewed"};
    error.metadata = {{"holder_owner", contest.holder.owner},
                      {"holder_token", std::to_string(contest.holder.token.value)},
                      {"remaining_ms", std::to_string(left.count())},
                      {"queue_length", std::to_string(contest.waiters.size())}};
    return error;
}

}  // namespace holdfast::core
