#pragma once

// Everything between "I want this lock" and its answer. One Contest per wanted lock name holds the
// attempts in order of arrival; only the head talks to the store, so that nobody barges past a
// waiter of this daemon and n waiters cost one command at a time.
//
// States of a contest:
//   trying    the head's acquire is under way
//             -> granted: answer the head; those who would not wait hear LOCK_HELD; rest
//             -> busy: answer those who do not wait (any more) LOCK_HELD; rest
//             -> no answer: back off, then again with the same holder id, which the store treats as
//                the same request. The head gives up at its end: STORE_UNAVAILABLE if no sending
//                can have been executed, else OUTCOME_UNKNOWN, and the reaper cancels behind it
//   resting   until the holder's expiry, the safety poll, or freed() -> trying
//
// An attempt ends exactly once: granted, refused, or cancelled by its caller. If it ends without a
// grant while a sending of its acquire may still have an effect, the reaper takes over. If its
// caller goes away while its acquire is under way, it stays as a ghost until the answer, and a
// grant is cancelled. A grant of which little is left by the time its answer is read (a paused
// process, a slow store) is no grant: the same id is sent again, which renews it.
//
// Fairness between daemons is by polling for now; tickets and hand-on come with the waiting issue.

#include "core/backoff.hpp"
#include "core/lock_store.hpp"
#include "core/observer.hpp"
#include "core/reaper.hpp"
#include "core/timers.hpp"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::core {

struct AcquireRequest {
    LockName name;
    std::optional<HolderId> holder;  // from the request_id; empty: the manager draws one
    HolderId call{};                 // drawn by the manager, new for each call
    Ttl ttl;
    Milliseconds wait{0};      // 0: try once
    Milliseconds max_hold{0};  // above 0: the watchdog renews for so long
    std::string owner;
    std::string metadata;
    Instant received_at{};
    Instant call_deadline = kNever;  // the caller stops listening then
};

struct Grant {
    Lease lease;
    HolderId call{};  // the acquire that it answers
    Ttl ttl;
    Instant sent_at{};  // when the command that obtained or renewed it left
    Instant deadline() const { return sent_at + ttl.value; }
};

template <class T>
using Done = absl::AnyInvocable<void(Result<T>)>;

class Acquirer {
public:
    struct Options {
        Milliseconds command_timeout{1000};
        Milliseconds resolve_window{3000};  // how long a lost reply is asked after
        Milliseconds safety_poll{1000};
        std::size_t max_waiters_per_lock = 100'000;
        std::uint32_t seed = 1;
    };
    using Ticket = std::uint64_t;

    Acquirer(const Clock&, TimerQueue&, LockStore&, Reaper&, Observer&, Options);
    ~Acquirer();

    // `done` is called once, possibly before acquire() returns (a full queue). Of this object it may
    // call freed() only.
    Ticket acquire(AcquireRequest request, Done<Grant> done);
    // Sends the acquire of a lease that its holder has, past all who wait: a retry with the
    // request_id of a lease that stands. Joins the others if it stands no longer.
    Ticket claim_again(AcquireRequest request, Done<Grant> done);
    // The caller has gone: its `done` is dropped, its place given up. Does nothing if it has ended.
    void cancel(Ticket ticket);
    // The lock has probably become free: whoever waits for it here may try at once.
    void freed(const LockName& name);
    // Answers everybody who waits with DRAINING. Acquires under way still get their answer.
    void drain();

    // Callers that have no answer yet.
    std::size_t waiting() const { return attempts_.size() - ghosts_; }

private:
    struct Attempt;
    struct Contest;

    void enqueue(Ticket ticket, AcquireRequest request, Done<Grant> done);
    Contest& contest_of(const LockName& name);
    void enter(Contest& contest, Attempt& attempt);
    void try_head(Contest& contest);
    void on_answer(Contest& contest, StoreResult<AcquireAnswer> answer);
    void on_granted(Contest& contest, FencingToken token);
    void on_busy(Contest& contest, HolderSummary holder);
    void on_failure(Contest& contest, const StoreError& error);
    void resend(Contest& contest, Duration delay);
    void go_on(Contest& contest);
    void rest(Contest& contest);
    void refuse_triers(Contest& contest);
    void on_wait_over(Attempt& attempt);
    void end(Attempt& attempt, Result<Grant> result);
    void withdraw(Attempt& attempt, Result<Grant> result);
    Error refusal(const Attempt& attempt) const;

    const Clock& clock_;
    TimerQueue& timers_;
    LockStore& store_;
    Reaper& reaper_;
    Observer& observer_;
    Options options_;
    Random random_;
    Ticket next_ticket_ = 1;
    bool draining_ = false;
    bool answering_ = false;  // a `done` is being called
    std::size_t ghosts_ = 0;  // attempts whose caller has gone
    absl::flat_hash_map<std::string_view, std::unique_ptr<Contest>> contests_;  // key: its name
    absl::flat_hash_map<Ticket, std::unique_ptr<Attempt>> attempts_;
    absl::flat_hash_set<Ticket> claims_;  // claim_again under way, not cancelled
};

}  // namespace holdfast::core
