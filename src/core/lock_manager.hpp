#pragma once

// The lock service of one shard: everything that a call can ask for, over one store. Owned and used
// by one thread. What it answers is final; nothing is said to be held past its safe deadline, which
// counts from before the command left.

#include "core/acquirer.hpp"
#include "core/holder_ids.hpp"
#include "core/limits.hpp"
#include "core/store_retry.hpp"
#include "core/watchdog.hpp"
#include "core/watchers.hpp"

#include <optional>

namespace holdfast::core {

class LockManager {
public:
    struct Options {
        Milliseconds command_timeout{1000};  // one command to the store
        Milliseconds resolve_window{3000};   // how long a lost reply is asked after
        Milliseconds safety_poll{1000};      // how often a waiter looks whether the lock is free
        Ttl max_ttl = Limits{}.max_ttl;      // by then any lease has ended by itself
        Ttl default_ttl = Limits{}.default_ttl;  // of a lease of which nothing is known here
        std::size_t max_waiters_per_lock = Limits{}.max_waiters_per_lock;
        std::size_t max_waiters = Limits{}.max_waiters;  // of this shard
        std::uint32_t seed = 1;                          // of jitter
    };

    // What the operator may want to know, at one moment.
    struct Counts {
        std::size_t leases = 0;   // held as far as this shard has promised
        std::size_t waiting = 0;  // acquires not answered yet
        std::size_t reaping = 0;  // unknown outcomes being cleaned up
        std::uint64_t not_reaped =
            0;                        // left to end by their ttl, as too many were to be cleaned up
        Watchdog::Counters renewals;  // by the watchdog
    };

    LockManager(const Clock& clock,
                TimerQueue& timers,
                LockStore& store,
                HolderIdSource& ids,
                Observer& observer,
                ChangeFeed& feed,
                Options options);

    // When a call came, and when its caller stops listening.
    struct CallTimes {
        Instant received_at{};
        Instant deadline = kNever;
    };

    using Ticket = Acquirer::Ticket;
    Ticket acquire(AcquireRequest request, Done<Grant> done);
    // The caller of acquire() has gone. Whatever the state, no lock and no place stay behind.
    void cancel_acquire(Ticket ticket);
    // The answer to a granted acquire could not be delivered: nobody knows of the lease. Give it
    // up.
    void abandon(const Grant& grant);

    // A waiter here is handed the lock in the same step.
    void release(Lease lease, Instant call_deadline, Done<Released> done);
    void renew(Lease lease, Ttl ttl, CallTimes times, Done<Grant> done);

    // The store's notice that a lock may have become free.
    void freed(const LockName& name) { acquirer_.freed(name); }
    // The store's notice that a lease which is watched here has been released through another daemon.
    void ended(HolderId holder) { watchdog_.ended(holder, {Verdict::held_throughout, {}}); }

    using Listener = std::shared_ptr<LeaseListener>;
    // Renews a lease and watches it for this listener from now on, wherever it was watched before; or, with
    // `from`, only if that station has watched it so far, and no stream has here.
    struct ResumeRequest {
        Lease lease;
        Ttl ttl;
        Milliseconds max_hold{0};
        Listener listener = nullptr;
        std::string from = {};
        Instant call_deadline = kNever;
    };
    void resume(ResumeRequest request, Done<Grant> done);
    // What this listener watches is renewed for `max_hold` more at most.
    void cap(const Lease& lease, const LeaseListener* listener, Milliseconds max_hold);
    // The stream of this listener has broken: renewals go on for `grace` at most.
    void detach(const Lease& lease, const LeaseListener* listener, Milliseconds grace);
    // The store's notice that a lease which is watched here was resumed elsewhere.
    void moved(HolderId holder) {
        watchdog_.lost(holder, LossCause::moved, "the lease was resumed on another stream");
    }

    // Changes the mode of a held lease. To exclusive: waits as an acquire does, before all of those, and
    // can be cancelled; the lease goes on meanwhile. To shared: at once. Once it has been executed it
    // stands, whether the caller hears of it or not: asked again it says so, and so does a renewal.
    struct ConvertRequest {
        Lease lease;
        Mode mode = Mode::exclusive;  // or shared
        Milliseconds wait{0};
        CallTimes times;
    };
    Ticket convert(ConvertRequest request, Done<Grant> done);

    // Takes the lock from its holders, whoever has it (token 0) or the one with this token.
    struct RevokeRequest {
        LockName name;
        FencingToken token;
        Revocation how = Revocation::yield;
        Milliseconds closes_in{0};
        std::string reason;
    };
    void revoke(RevokeRequest request, Instant call_deadline, Done<std::vector<HolderState>> done);
    // The store's notice that a lease which is watched here was revoked.
    void revoked(HolderId holder, Revocation how, Milliseconds closes_in, std::string_view reason) {
        watchdog_.revoked(holder, how, closes_in, reason);
    }

    // 128 bits that nobody can guess.
    HolderId new_secret() { return ids_.next(); }

    void inspect(LockName name, Done<std::optional<LockState>> done);
    // Who watches locks here.
    Watchers& watchers() { return watchers_; }

    void list(std::string prefix, std::string from, std::size_t limit, Done<LockPage> done);

    // For Explain: who waits here, and what happened here lately.
    std::vector<Acquirer::Waiting> waiting_for(const LockName& name, std::size_t most) const {
        return acquirer_.waiting_for(name, most);
    }
    const FlightRecorder& recorder() const { return recorder_; }
    // For another daemon to take over: what is renewed here while nobody is connected.
    std::vector<Watchdog::Unattended> unattended(std::size_t most) const {
        return watchdog_.unattended(most);
    }

    // Nothing is granted while the store is not fit to keep locks; leases go on. Empty: it is fit.
    void set_unfit(std::string why) { acquirer_.set_unfit(std::move(why)); }
    // The store may have ended leases early: those that are watched are at risk until they are renewed.
    void doubt_leases(std::string_view why) { watchdog_.doubt(why); }
    // The store has lost its memory, or is another one: see Watchdog.
    void renew_all() { watchdog_.renew_all(); }

    // No new grants from here on; those who wait hear DRAINING. Leases stay in the store.
    void drain();
    Counts counts() const;

private:
    Instant give_up_at(Instant call_deadline) const;
    static StoreResult<AcquireAnswer> handed(const Result<ReleaseAnswer>& answer);
    static Result<Released> released(const Lease& lease, bool held, const ReleaseAnswer& answer);
    bool wanted(const ResumeRequest& request);
    void downgrade(ConvertRequest request, Ttl ttl, Done<Grant> done);
    Result<Grant> confirmed(const RenewCommand& command,
                            const RenewAnswer& answer,
                            Instant sent_at);

    const Clock& clock_;
    TimerQueue& timers_;
    LockStore& store_;
    HolderIdSource& ids_;
    Options options_;
    Random random_;
    FlightRecorder recorder_;
    Watchdog watchdog_;
    Reaper reaper_;
    Acquirer acquirer_;
    Watchers watchers_;
    bool draining_ = false;
};

}  // namespace holdfast::core
