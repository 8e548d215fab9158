#include "core/acquirer.hpp"

#include "core/contest.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

// Those who do not wait are refused all at once: that shall not keep the thread from its renewals.
constexpr std::size_t kMaxTriers = 10'000;
constexpr Milliseconds kRetryWhenFull{1000};

Error shutting_down() {
    return {Reason::draining, "this daemon is shutting down; try another"};
}

}  // namespace

Acquirer::Acquirer(const Clock& clock,
                   TimerQueue& timers,
                   LockStore& store,
                   Reaper& reaper,
                   Observer& observer,
                   FlightRecorder& recorder,
                   Options options)
    : clock_(clock),
      timers_(timers),
      store_(store),
      reaper_(reaper),
      observer_(observer),
      recorder_(recorder),
      options_(options),
      random_(options.seed) {}

Acquirer::~Acquirer() = default;

Acquirer::Ticket Acquirer::acquire(AcquireRequest request, Done<Grant> done) {
    const Ticket ticket = next_ticket_++;
    enqueue(ticket, std::move(request), std::move(done));
    return ticket;
}

void Acquirer::enqueue(Ticket ticket, AcquireRequest request, Done<Grant> done) {
    if (auto error = turned_away()) {
        done(tl::unexpected(*std::move(error)));
        return;
    }
    Contest& contest = contest_of(request.name);
    auto refused = too_many(contest, request);
    if (!refused && contest.deadlocks(request)) {
        refused = deadlock();
    }
    if (refused) {
        leave_if_empty(contest);
        done(tl::unexpected(*std::move(refused)));
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
        attempt.wait_over.set(attempt.first_look_by(options_.command_timeout),
                              [this, &attempt] { on_wait_over(attempt); });
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
    } else {
        tell_waiting(contest);
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
        if (!attempt.tries_once()) {
            recorder_.record(clock_.now(),
                             Happening::cancelled,
                             attempt.request.name,
                             FencingToken{},
                             attempt.request.owner);
        }
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
    first.asked_at = clock_.now();
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
    turn_away();
}

void Acquirer::set_unfit(std::string why) {
    unfit_ = std::move(why);
    if (!unfit_.empty()) {
        turn_away();
    }
}

// Why nobody is served, if so.
std::optional<Error> Acquirer::turned_away() const {
    if (draining_) {
        return shutting_down();
    }
    if (!unfit_.empty()) {
        return Error{Reason::store_unavailable, "nothing was done: " + unfit_};
    }
    return std::nullopt;
}

void Acquirer::turn_away() {
    std::vector<Attempt*> resting;
    for (const auto& [ticket, attempt] : attempts_) {
        if (attempt->under_way) {
            attempt->end_at = clock_.now();  // the answer on its way is the last
        } else {
            resting.push_back(attempt.get());
        }
    }
    for (Attempt* attempt : resting) {
        withdraw(*attempt, tl::unexpected(refusal(*attempt)));
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
    } else if (contest.outdated() && !contest.failure && !turned_away()) {
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
    if (attempt.unknown) {
        observer_.outcome_unknown(attempt.request.name);
    }
    if (attempt.lingering && !attempt.request.upgrade) {  // a lease stands, in whatever mode
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

std::vector<Acquirer::Waiting> Acquirer::waiting_for(const LockName& name, std::size_t most) const {
    std::vector<Waiting> waiting;
    const auto found = contests_.find(name.text());
    if (found == contests_.end()) {
        return waiting;
    }
    for (const Attempt* attempt : found->second->waiters) {
        if (waiting.size() == most) {
            break;
        }
        const AcquireRequest& request = attempt->request;
        if (attempt->done) {  // else nobody waits for its answer
            waiting.push_back({request.owner,
                               request.granted_access().mode,
                               request.priority,
                               request.received_at,
                               request.upgrade ? std::nullopt : std::optional{attempt->arrival}});
        }
    }
    return waiting;
}

Error Acquirer::refusal(const Attempt& attempt) const {
    const Contest& contest = *attempt.contest;
    if (attempt.unknown && attempt.request.upgrade) {
        return {
            Reason::outcome_unknown,
            "the store's answer was lost and could not be had again in time; the lease is held, "
            "shared or exclusive: convert again, or renew, and the answer says which"};
    }
    if (attempt.unknown) {
        return {Reason::outcome_unknown,
                "the store's answer was lost and could not be had again in time; the lock is not "
                "yours, and what may have been granted is being undone"};
    }
    if (!attempt.not_durable.empty()) {
        return {Reason::not_durable,
                attempt.not_durable + "; the lock is not yours, and the grant is being undone"};
    }
    if (auto error = turned_away()) {
        return *std::move(error);
    }
    if (contest.failure) {
        return {Reason::store_unavailable, "nothing was done: " + contest.failure->message};
    }
    const Milliseconds left = remaining(clock_.now(), contest.held_until);
    if (contest.recovering) {
        return recovering(left);
    }
    const std::size_t queue = contest.waiters.size() + contest.waiting_elsewhere;
    Error error{Reason::lock_held,
                contest.holder.token.value == 0 && contest.holder.owner.empty()
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
