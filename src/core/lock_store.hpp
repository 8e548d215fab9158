#pragma once

// The port: what core needs of a store. It lives here, with the side that needs it; store/ has the
// adapters. Every call answers exactly once through `done`, never from within the call itself.
//
// Each answer is either the store's word or a StoreError that says how much is known:
//   not_executed  certainly not done, and never will be; the caller may try again at once
//   unknown       perhaps done, perhaps later (until the command's own not_after), perhaps never
// The port never sends a command twice when its first sending may have been executed; who wants to
// know more asks again with the same holder id, which every operation treats as the same request.

#include "core/lease_id.hpp"

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::core {

enum class StoreFailure {
    not_executed,
    unknown,
    not_durable,  // executed, but too few replicas have acknowledged it in time, or it is not known;
                  // a grant is not to be believed, and has to be undone
    mode_conflict,  // the key holds something that is not a lock of this mode; not executed
};

struct StoreError {
    StoreFailure failure;
    std::string message;  // for people; no secrets
};

template <class T>
using StoreResult = tl::expected<T, StoreError>;
template <class T>
using StoreDone = absl::AnyInvocable<void(StoreResult<T>)>;

// How much longer than the promised ttl the store keeps a lease: covers the rate error between its
// clock and ours (FAULTS.md 2.0, A1).
constexpr Duration store_hold(Ttl ttl) {
    return ttl.value + ttl.value / 10 + Milliseconds{20};
}

// Who leads the waiters of one lock here: what the store keeps of them (their ticket), so that a
// waiter of another daemon who came later does not pass them.
struct QueueHead {
    Instant arrival{};               // of the first waiter, less its priority
    Access access;                   // what the first waiter wants
    bool upgrade = false;            // the first waiter shares the lock and wants it for itself
    std::optional<Instant> barrier;  // arrival of the first waiter who would not share the lock
    std::size_t waiting = 0;         // how many wait here

    // Whether it makes the same difference to others.
    bool same_place(const QueueHead& other) const {
        return arrival == other.arrival && access == other.access && upgrade == other.upgrade &&
               barrier == other.barrier;
    }
};

// What one acquire asks for. The views are needed only during the call that takes it.
struct Want {
    HolderId holder;
    HolderId call;  // which call claims the lease; see cancel()
    Ttl ttl;
    Access access;
    bool upgrade = false;       // `holder` shares the lock and wants it exclusively
    bool watched = false;       // tell this daemon if another ends the lease
    std::uint8_t replicas = 0;  // that have to acknowledge it
    Milliseconds lock_delay{0};
    Instant arrival{};
    std::string_view owner;
    std::string_view metadata;
    std::optional<QueueHead> if_refused;  // empty: whatever ticket there is stays
    bool follows = false;  // others of this daemon are asked for right before, and come first
    std::optional<QueueHead> if_granted;  // empty: nobody waits here any more
    bool only_again =
        false;  // a lease that `holder` has already, or NotHeld; tickets are left alone
};

struct AcquireCommand {
    const LockName& name;
    Want want;
    Milliseconds timeout;  // when to give up; the command does nothing if it runs later than that
};

// Who holds a lock, as another contender may know it.
struct HolderSummary {
    std::string owner;
    FencingToken token;         // 0 without an owner: nobody, but it is the turn of others who wait
    Milliseconds expires_in{};  // in the store, at the time of the answer: worth another look then
};

struct Granted {
    FencingToken token;
    std::uint8_t replicas = 0;  // so many have acknowledged it, at least
};
struct Busy {
    HolderSummary holder;
    std::size_t waiting_elsewhere = 0;  // at other daemons
    bool recovering = false;            // nobody is granted anything before `holder.expires_in`
    bool elsewhere =
        false;  // held by one who is no client of ours (token 0), and tells nobody when it goes
};
struct Closed {};  // the holder id was released, or the call cancelled, before: never granted again
struct Deadlocked {};  // an upgrade while another holder waits for one
struct NotHeld {};     // to only_again
using AcquireAnswer = std::variant<Granted, Busy, Closed, Deadlocked, NotHeld>;

enum class Verdict { held_throughout, already_expired, superseded };

struct Released {
    Verdict verdict = Verdict::already_expired;
    FencingToken newer;  // superseded: the token of a later grant
};
struct NoSuchLease {};  // the store has no trace of it
struct ReleaseAnswer {
    std::variant<Released, NoSuchLease> ended;
    std::optional<StoreResult<AcquireAnswer>> handed;  // what became of `next`
};

struct RenewCommand {
    Lease lease;
    Ttl ttl;
    bool held = false;  // its deadline has certainly not passed: it is put back if it was forgotten
};
// How a lease is held now, if it has been converted since it was told.
struct HeldAs {
    FencingToken token;
    Access access;
};
struct RenewAnswer {
    bool renewed = false;
    FencingToken newest;        // the lock's newest token, 0 if the store has no trace of the lock
    bool recovering = false;    // the store has lost its memory, and may know better later
    bool not_durable = false;   // done, but too few replicas have acknowledged it: extends nothing
    std::uint8_t replicas = 0;  // renewed: so many have acknowledged it, at least
    std::optional<HeldAs> now;  // only of a lease that is there
    bool revoked = false;       // it is there, but is not renewed any more: it ends by itself
    std::optional<Milliseconds> closes_in;  // it was revoked, and is renewed for so long yet
    bool released = false;  // it was, seconds ago, while it was held; one that is not there
    std::string failure;  // not empty: nothing is known of this one, unlike others, and this is why
};

struct HolderState {
    HolderSummary summary;
    std::string metadata;
    Milliseconds held_for{};
    std::uint32_t permits = 1;
};
struct LockState {
    LockName name;
    Mode mode = Mode::exclusive;
    FencingToken newest;            // the newest token ever granted
    FencingToken newest_exclusive;  // the newest one of an exclusive grant; 0: none
    std::uint32_t limit = 0;        // of permits
    std::size_t waiting = 0;
    std::vector<HolderState> holders;  // nobody holds it if empty
};
// How a lock is taken away.
enum class Revocation {
    yield,    // the holder is asked to give it up; it is renewed until then
    lost,     // the holder is told that it is lost; it is free when the lease has ended by itself
    at_once,  // it is free now, although the holder may still believe in it
};
struct RevokeCommand {
    const LockName& name;
    FencingToken token;  // whose lease; 0: all
    Revocation how;
    Milliseconds closes_in;  // yield: renewed for so long yet
    std::string_view reason;
};
struct LockPage {
    std::vector<LockState> locks;
    std::string next;  // where to go on; empty at the end
};

// A store that has lost its memory (an empty one, an earlier state) says so: nothing is executed, and
// until every lease that could exist has ended, nothing is granted. Leases that are certainly held are
// put back by renew() meanwhile.
class LockStore {
public:
    virtual ~LockStore() = default;

    // Grants the lock to want.holder if it can be had in that mode and nobody waits who came
    // earlier, with a token above every earlier one; else leaves `if_refused` in the lock's queue for
    // 3 s. Asked again with a holder that has it: the same token, and the expiry anew.
    virtual void acquire(const AcquireCommand& command, StoreDone<AcquireAnswer> done) = 0;

    // Ends the lease if (holder, token) has it, and closes the holder id. Then does for `next` what
    // acquire() does, in the same step. Safe to repeat.
    virtual void release(const Lease& lease,
                         const std::optional<Want>& next,
                         Milliseconds timeout,
                         StoreDone<ReleaseAnswer> done) = 0;

    // Makes an exclusive lease a shared one, with the same token, and its expiry anew. The answer's
    // `renewed` is false if the lease is gone, and `now` says how it is held. Safe to repeat.
    virtual void downgrade(const Lease& lease,
                           Ttl ttl,
                           Milliseconds timeout,
                           StoreDone<RenewAnswer> done) = 0;

    // Renews one lease and has this daemon told from now on if another ends it. With `from`, a station,
    // only if that one, or this daemon, has been told so far; else the answer is as of one that is
    // `revoked`. Safe to repeat.
    virtual void adopt(const Lease& lease,
                       Ttl ttl,
                       std::string_view from,
                       Milliseconds timeout,
                       StoreDone<RenewAnswer> done) = 0;

    // Nobody waits here for this lock any more.
    virtual void leave(const LockName& name,
                       Milliseconds timeout,
                       StoreDone<std::monostate> done) = 0;

    // Closes `call`, so that an acquire of it that is still under way does nothing, and ends the
    // lease that `holder` has, if no other call than this has claimed it: a retry with the same
    // request_id is another call for the same lease, and its caller may believe in it by now. Safe
    // to repeat.
    virtual void cancel(const LockName& name,
                        HolderId holder,
                        HolderId call,
                        Milliseconds timeout,
                        StoreDone<std::monostate> done) = 0;

    // Replaces the expiry of each lease that (holder, token) still has, if converted or not; never
    // revives one. One answer per command, in order. At most kMaxRenewals commands.
    static constexpr std::size_t kMaxRenewals = 128;
    virtual void renew(std::span<const RenewCommand> commands,
                       Milliseconds timeout,
                       StoreDone<std::vector<RenewAnswer>> done) = 0;

    // Closes the renewals of a lock's leases, or ends these. Daemons that watch them are told. The
    // answer: whom it concerns. Safe to repeat.
    virtual void revoke(const RevokeCommand& command,
                        Milliseconds timeout,
                        StoreDone<std::vector<HolderState>> done) = 0;

    // Reads one lock; empty if the store has no record of it.
    virtual void inspect(const LockName& name,
                         Milliseconds timeout,
                         StoreDone<std::optional<LockState>> done) = 0;

    // Held locks whose names begin with `prefix`, a page of about `limit` at a time; `from` is
    // empty or the last page's `next`. A lock that is held all the while appears at least once.
    virtual void list(std::string_view prefix,
                      std::string_view from,
                      std::size_t limit,
                      Milliseconds timeout,
                      StoreDone<LockPage> done) = 0;
};

}  // namespace holdfast::core
