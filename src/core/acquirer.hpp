#pragma once

// Everything between "I want this lock" and its answer. One Contest per wanted lock name holds the
// attempts in order of arrival, less their priority. Only the first talks to the store, with those
// behind it who can share the lock with it, so that nobody barges past a waiter of this daemon and n
// waiters cost one command at a time. While somebody waits here, the store keeps a ticket of ours
// with the first one's arrival, so that nobody barges past it at another daemon.
//
// States of a contest:
//   asking    acquires of a batch are under way, or a release that brought the first waiter along
//             -> granted: answer; go on with those behind, unless the lock is exclusively held now
//             -> busy: the store has our ticket; those who do not wait (any more) hear LOCK_HELD; rest
//             -> no answer: back off, then again with the same holder id, which the store treats as
//                the same request. Who gives up at its end hears STORE_UNAVAILABLE if no sending can
//                have been executed, else OUTCOME_UNKNOWN, and the reaper cancels behind it
//             -> granted, but too few replicas have acknowledged it: as no answer; at the end, at once
//                for those who do not wait, NOT_DURABLE
//   resting   until freed() (a release here, or the store's notice), the holder's expiry, or the
//             safety poll, which also keeps our ticket alive -> asking
//   over      nobody is left: our ticket, if there may be one, is taken back
//
// An attempt ends exactly once: granted, refused, or cancelled by its caller. If it ends without a
// grant while a sending of its acquire may still have an effect, the reaper takes over. If its
// caller goes away while its acquire is under way, it stays as a ghost until the answer, and a
// grant is cancelled. A grant of which little is left by the time its answer is read (a paused
// process, a slow store) is no grant: the same id is sent again, which renews it.
//
// A retry (an acquire with a request_id) that finds others here first asks whether its lease stands
// already, past all who wait: it may be the very lease that they wait for.
//
// The order across daemons and why it holds: tests/model/handon.pml.

#include "core/backoff.hpp"
#include "core/flight_recorder.hpp"
#include "core/lease_listener.hpp"
#include "core/lock_store.hpp"
#include "core/observer.hpp"
#include "core/reaper.hpp"
#include "core/timers.hpp"

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::core {

struct AcquireRequest {
    LockName name;
    std::optional<HolderId> holder;  // from the request_id; empty: the manager draws one
    bool holder_is_new = false;      // `holder` was drawn for this very request
    bool is_retry = false;           // else, if given: it may have the lock already (the manager's)
    HolderId call{};                 // drawn by the manager, new for each call
    Ttl ttl;
    Milliseconds wait{0};      // 0: try once
    Milliseconds max_hold{0};  // above 0: the watchdog renews for so long
    Access access;
    bool upgrade = false;       // `holder` shares the lock and wants it for itself
    bool watched = false;       // of an upgrade: the lease is watched here
    std::uint8_t replicas = 0;  // of the store, that have to acknowledge it
    Milliseconds lock_delay{0};
    int priority = 0;
    std::string owner;
    std::string metadata;
    std::shared_ptr<LeaseListener> listener;  // renewed for it while it lives
    // Called once if it has to wait: its position (1 is next) and who holds the lock.
    std::function<void(std::size_t position, const HolderSummary& holder)> on_queued;
    Instant received_at{};
    Instant call_deadline = kNever;  // the caller stops listening then

    Access granted_access() const { return upgrade ? Access{} : access; }  // exclusive then
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
        std::size_t max_waiters = 1'000'000;  // of all locks, with those who do not wait
        std::uint32_t seed = 1;
    };
    using Ticket = std::uint64_t;

    Acquirer(const Clock&, TimerQueue&, LockStore&, Reaper&, Observer&, FlightRecorder&, Options);
    ~Acquirer();

    // `done` is called once, possibly before acquire() returns (a full queue). Of this object it may
    // call freed() only.
    Ticket acquire(AcquireRequest request, Done<Grant> done);
    // The caller has gone: its `done` is dropped, its place given up. Does nothing if it has ended.
    void cancel(Ticket ticket);
    // The lock has probably become free: whoever waits for it here may try at once.
    void freed(const LockName& name);

    // The first waiter for a lock that is about to be released, for the release to hand the lock on
    // to; empty if there is none to offer. It is under way until handed() is called, once.
    struct Offer {
        Ticket ticket;
        Want want;
    };
    std::optional<Offer> offer(const LockName& name);
    // The release with the offer is about to be sent, for the first time or again.
    void offer_sent(Ticket ticket);
    void handed(Ticket ticket, StoreResult<AcquireAnswer> answer);

    // Answers everybody who waits with DRAINING. Acquires under way still get their answer.
    void drain();
    // Nothing is asked for while the store is not fit to keep locks: STORE_UNAVAILABLE, with the reason,
    // to everybody who waits and who comes. Empty: it is fit again.
    void set_unfit(std::string why);

    // One who waits, as Explain shows it.
    struct Waiting {
        std::string owner;
        Mode mode;
        int priority;
        Instant since{};
        std::optional<Instant> arrival;  // less the priority; empty: before all others (an upgrade)
    };
    // Those who wait for this lock here, in the order of their turns; at most `most`.
    std::vector<Waiting> waiting_for(const LockName& name, std::size_t most) const;

    // Callers that have no answer yet.
    std::size_t waiting() const { return attempts_.size() - ghosts_; }

private:
    struct Attempt;
    struct Contest;

    static constexpr Duration kPriorityStep = std::chrono::seconds{1};

    void enqueue(Ticket ticket, AcquireRequest request, Done<Grant> done);
    Contest& contest_of(const LockName& name);
    std::optional<Error> turned_away() const;
    void turn_away();
    std::optional<Error> too_many(const Contest& contest, const AcquireRequest& request) const;
    void enter(Contest& contest, Attempt& attempt);
    void ask(Contest& contest);
    void send(Attempt& attempt, const Want& want);
    Want want_of(const Attempt& attempt) const;
    void on_answer(Attempt& attempt, StoreResult<AcquireAnswer> answer);
    void on_granted(Attempt& attempt, const Granted& granted);
    void on_busy(Attempt& attempt, Busy busy);
    static void tell_waiting(Contest& contest);
    static Error deadlock();
    void on_not_held(Attempt& attempt);
    void on_failure(Attempt& attempt, const StoreError& error);
    void on_not_durable(Attempt& attempt, const StoreError& error);
    void go_on(Contest& contest);
    void rest(Contest& contest);
    void refuse_triers(Contest& contest);
    void on_wait_over(Attempt& attempt);
    void leave_if_empty(Contest& contest);
    void end(Attempt& attempt, Result<Grant> result);
    void withdraw(Attempt& attempt, Result<Grant> result);
    Error refusal(const Attempt& attempt) const;

    const Clock& clock_;
    TimerQueue& timers_;
    LockStore& store_;
    Reaper& reaper_;
    Observer& observer_;
    FlightRecorder& recorder_;
    Options options_;
    Random random_;
    Ticket next_ticket_ = 1;
    bool draining_ = false;
    std::string unfit_;       // why the store is
    bool answering_ = false;  // a `done` is being called
    std::size_t ghosts_ = 0;  // attempts whose caller has gone
    absl::flat_hash_map<std::string_view, std::unique_ptr<Contest>> contests_;  // key: its name
    absl::flat_hash_map<Ticket, std::unique_ptr<Attempt>> attempts_;
};

}  // namespace holdfast::core
