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

struct AcquireCommand {
    const LockName& name;
    HolderId holder;
    HolderId call;  // which call claims the lease; see cancel()
    Ttl ttl;
    std::string_view owner;
    std::string_view metadata;
    Milliseconds timeout;  // when to give up; the command does nothing if it runs later than that
};

// Who holds a lock, as another contender may know it.
struct HolderSummary {
    std::string owner;
    FencingToken token;
    Milliseconds expires_in{};  // in the store, at the time of the answer
};

struct Granted {
    FencingToken token;
};
struct Busy {
    HolderSummary holder;
};
struct Closed {};  // the holder id was released, or the call cancelled, before: never granted again
using AcquireAnswer = std::variant<Granted, Busy, Closed>;

enum class Verdict { held_throughout, already_expired, superseded };

struct Released {
    Verdict verdict = Verdict::already_expired;
    FencingToken newer;  // superseded: the token of a later grant
};
struct NoSuchLease {};  // the store has no trace of it
using ReleaseAnswer = std::variant<Released, NoSuchLease>;

struct RenewCommand {
    Lease lease;
    Ttl ttl;
};
struct RenewAnswer {
    bool renewed = false;
    FencingToken newest;  // the lock's newest token, 0 if the store has no trace of the lock
};

struct HolderState {
    HolderSummary summary;
    std::string metadata;
    Milliseconds held_for{};
};
struct LockState {
    LockName name;
    FencingToken newest;                // the newest token ever granted
    std::optional<HolderState> holder;  // nobody holds it if empty
};
struct LockPage {
    std::vector<LockState> locks;
    std::string next;  // where to go on; empty at the end
};

class LockStore {
public:
    virtual ~LockStore() = default;

    // Grants the lock to `holder` if nobody has it, with a token above every earlier one. Asked
    // again with the holder that has it: the same token, and the expiry anew. The views in
    // `command` are needed only during the call.
    virtual void acquire(const AcquireCommand& command, StoreDone<AcquireAnswer> done) = 0;

    // Ends the lease if (holder, token) has it, and closes the holder id. Safe to repeat.
    virtual void release(const Lease& lease,
                         Milliseconds timeout,
                         StoreDone<ReleaseAnswer> done) = 0;

    // Closes `call`, so that an acquire of it that is still under way does nothing, and ends the
    // lease that `holder` has, if no other call than this has claimed it: a retry with the same
    // request_id is another call for the same lease, and its caller may believe in it by now. Safe
    // to repeat.
    virtual void cancel(const LockName& name,
                        HolderId holder,
                        HolderId call,
                        Milliseconds timeout,
                        StoreDone<std::monostate> done) = 0;

    // Replaces the expiry of each lease that (holder, token) still has; never revives one. One
    // answer per command, in order. At most kMaxRenewals commands.
    static constexpr std::size_t kMaxRenewals = 128;
    virtual void renew(std::span<const RenewCommand> commands,
                       Milliseconds timeout,
                       StoreDone<std::vector<RenewAnswer>> done) = 0;

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
