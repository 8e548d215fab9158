#pragma once

// The watchdog renews what clients hold. It decides by the clock alone; the store only confirms.
//
// States of a lease here, and what moves it:
//
//   plain     not watched: forgotten at its deadline (the client renews by itself, or not)
//   watched   next renewal at a third of the ttl, +-10 %
//             -> renewing, when due; up to 128 leases that are due soon go in one call
//   renewing  a call is under way
//             -> watched, confirmed: deadline = the call's send time + ttl
//             -> watched, no answer, or too few replicas acknowledged it: AT_RISK at the first; again after a back-off; deadline stays,
//                                    for an unknown outcome extends nothing
//             -> gone, the store says it is not ours: LOST at once; or that it was released: RELEASED
//             -> plain, it was revoked and its time to yield is over: LOST at its deadline
//             (renewing, too, at once: all of them, if the store has lost its memory; see renew_all())
//   any       the store's clock was set: AT_RISK, until the next renewal is confirmed
//             the deadline passes first: gone; LOST if it was watched. An answer that comes later
//             finds no entry and changes nothing.
//             it was released, here or elsewhere: gone
//             its stream broke, or it is being released: plain
//             it was revoked: REVOKE_REQUESTED, once; or LOST at once, if so wished. A notice tells, or
//             the next renewal
//             it was converted, here or elsewhere: the same entry, with the new token and mode
//
// Who holds a lease over a stream has a listener here, which hears of each of these.
//
// The store never moves an expiry back, so renewals that cross each other, or run late, do no harm.
// After a pause of the whole process, deadlines are judged before anything is sent: run() looks at
// the clock once, first, and an expired lease is never renewed. `watch_until` (from max_hold_ms)
// caps every deadline: the last renewal asks for what is left only.

#include "core/backoff.hpp"
#include "core/flight_recorder.hpp"
#include "core/lease_listener.hpp"
#include "core/lease_table.hpp"
#include "core/lock_store.hpp"
#include "core/observer.hpp"
#include "core/timers.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace holdfast::core {

class Watchdog {
public:
    struct Options {
        Milliseconds command_timeout{1000};
        std::uint32_t seed = 1;
    };

    Watchdog(const Clock& clock,
             TimerQueue& timers,
             LockStore& store,
             Observer& observer,
             FlightRecorder& recorder,
             Options);

    // How a lease is watched: until `until` (kNever: no end), for a listener or for nobody.
    struct Watch {
        Instant until = kNever;
        std::shared_ptr<LeaseListener> listener;
        bool wanted() const { return until != kNever || listener; }
    };

    // Starts to watch over a new grant, or only remembers it if no watch is wanted.
    // `sent_at`: when the command that obtained it left.
    // `call`: whose grant it is, for forget().
    void granted(const Lease& lease, HolderId call, Ttl ttl, Instant sent_at, Watch watch);
    // The client has renewed by itself, by a call received at `received_at`; the watch, if any, goes
    // on with the new ttl.
    void renewed(const Lease& lease, Ttl ttl, Instant sent_at, Instant received_at);
    // Watches a lease that its holder has just renewed, for this listener from now on. Who listened
    // before hears that it has moved. Without a listener: one that another daemon has watched.
    void resume(const Lease& lease, Ttl ttl, Instant sent_at, Watch watch);
    // What this listener watches is renewed until `until` at most.
    void cap(const Lease& lease, const LeaseListener* listener, Instant until);
    // The stream of this listener is gone: renewed until `until` (now: not at all) in its absence.
    void detach(const Lease& lease, const LeaseListener* listener, Instant until);

    // The lease is held as `now` from here on, by a command sent at `sent_at`. Its watch goes on.
    void converted(const Lease& now, Ttl ttl, Instant sent_at);
    // An operator takes the lease away: its holder is asked to yield within `closes_in`, or hears that
    // it is lost.
    void revoked(HolderId holder, Revocation how, Milliseconds closes_in, std::string_view reason);
    // What is known of the lease of this holder id; nullptr if it is not here.
    const HeldLease* find(HolderId holder) { return table_.find(holder); }

    // The lease is about to be over: nothing is renewed from here on. Its listener waits for the end.
    void stop_renewing(const Lease& lease);
    // It is over: it was released, here or elsewhere.
    void ended(HolderId holder, const Released& released);
    // The same, unless a later grant than this was meant by it: then that may be its own conversion.
    void ended(const Lease& lease, const Released& released);
    // It was never told to anybody, unless another call has been granted the same lease.
    void forget(const Lease& lease, HolderId call);
    // Every watched lease is at risk until its next renewal.
    void doubt(std::string_view why);
    // Every listener hears that its lease has to move; nothing is renewed for them any more.
    void drain();
    // The store says that this very lease, as it was told, is gone.
    void gone(const Lease& lease);
    // It is lost, for a reason that the store knows.
    void lost(HolderId holder, LossCause cause, std::string_view why);

    // The store has lost its memory, or is another one: all that is watched is renewed now, what ends
    // first goes first.
    void renew_all();

    // A lease that is renewed though nobody listens.
    struct Unattended {
        Lease lease;
        Ttl ttl;
        Instant until{};  // so long
    };
    // At most `most` of them; O(leases).
    std::vector<Unattended> unattended(std::size_t most) const;

    // True if the lease is surely held: its deadline, as known here, has not passed.
    bool holds(const Lease& lease);
    std::size_t held() const { return table_.size(); }

    struct Counters {
        std::uint64_t calls = 0;  // to the store, each with one or more renewals
        std::uint64_t confirmed = 0;
        std::uint64_t unanswered = 0;
        std::uint64_t lost = 0;  // the store says that the lease is gone
    };
    const Counters& counters() const { return counters_; }

private:
    struct Chunk {
        std::vector<RenewCommand> commands;
        Milliseconds timeout;
    };

    void run();
    void arm();
    bool handle_earliest(Instant now, Chunk& chunk);
    void expire(HeldLease& held);
    void add_to(Chunk& chunk, HeldLease& held, Instant now);
    void send(Chunk chunk);
    void on_answers(const std::vector<RenewCommand>& commands,
                    Instant sent_at,
                    const StoreResult<std::vector<RenewAnswer>>& answers);
    static void set_listener(HeldLease& held, std::shared_ptr<LeaseListener> listener);
    void on_answer(HeldLease& held,
                   const RenewCommand& command,
                   const RenewAnswer& answer,
                   Instant sent_at);
    HeldLease& confirmed(const Lease& lease, Instant sent_at);
    void convert(HeldLease& held, const HeldAs& now);
    void ask_to_yield(HeldLease& held, Milliseconds closes_in, std::string_view reason);
    void stop_renewing(HeldLease& held);
    void confirm(HeldLease& held, Ttl ttl, Instant sent_at);
    void fail(HeldLease& held, std::string_view why);
    void put_at_risk(HeldLease& held, std::string_view why);
    void lose(HeldLease& held, LossCause cause, std::string_view why);
    void extend(HeldLease& held, Ttl ttl, Instant sent_at);

    const Clock& clock_;
    LockStore& store_;
    Observer& observer_;
    FlightRecorder& recorder_;
    Options options_;
    Random random_;
    LeaseTable table_;
    Counters counters_;
    Timer timer_;
    Instant renewed_all_at_{};
};

}  // namespace holdfast::core
