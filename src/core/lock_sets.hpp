#pragma once

// Sets of locks (AcquireAll): taken all or none, under one lease id, renewed and released together. The
// locks of a set may live in several shards; what is decided about a set as a whole is decided on one
// thread, that of the first lock's shard.
//
// A set's locks are taken one after the other, sorted by the bytes of their names, at every daemon. So
// whoever waits for a lock holds only locks that come before it, and sets that overlap cannot wait for
// each other in a ring: the one that is furthest waits for nobody, or for a lock that is held by none of
// them. Each lock is asked for with the arrival of the whole request: who has waited for the first ones
// does not queue up at the end for the next.
//
// What a LockSet does, and what ends it:
//
//   taking     the acquire of one lock is at its shard; those before it are held, and renewed by the
//              watchdog of theirs
//              -> taking    granted: the next one
//              -> renewing  granted, the last one, and the first is too old to be of much use
//              -> held      granted, the last one
//              -> over      refused, timed out, draining: its error, with the lock's name
//   renewing   a renewal of each lock is at its shard
//              -> held      all are confirmed
//              -> over      one is not: its error, with the lock's name
//   held       answered, once: all of the set ends at the earliest deadline of any. Without max_hold
//              nobody renews from here on but the client; with it each lock's watchdog does
//              -> over      one is lost or released: the renewals of the others stop. They end by their
//                           ttl, not before: the client may still believe. The next Renew tells it
//              -> over      abandon(): the answer did not reach the client. All locks are given up
//   taking, renewing
//              -> over      a lock that is held already is lost or released: LEASE_LOST, or
//                           STORE_UNAVAILABLE if no renewal could be confirmed
//              -> over      cancel(): the client has gone. No answer; the acquire under way is cancelled
//
// Whoever comes from taking or renewing to `over` gives up every lock that is held, by
// LockManager::abandon(): its call is cancelled, until the store confirms that. A grant that was on its
// way all the same is given up when it comes. So nothing stays behind.

#include "core/lock_manager.hpp"

#include <absl/functional/any_invocable.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace holdfast::core {

// Runs a task on the thread of the shard that owns the lock, later. From any thread; tasks about one lock
// run in the order in which they were posted.
using Post = std::function<void(const LockName&, absl::AnyInvocable<void(LockManager&)>)>;

struct SetRequest {
    std::vector<LockName> names;  // 1 to LeaseSet::kMaxLocks, none twice, in any order
    std::optional<RequestId> request_id;
    AcquireRequest each;  // what is wanted of each; its name and holder do not count
};

// All locks of a set, held until the earliest deadline of any.
struct SetGrant {
    LeaseSet set;
    Ttl ttl;
    Instant sent_at{};
    Instant deadline() const { return sent_at + ttl.value; }
};

class LockSet : public std::enable_shared_from_this<LockSet> {
public:
    // `clock`, and what `post` refers to, outlive the set.
    LockSet(const Clock& clock, Post post, SetRequest request);
    ~LockSet();

    // Once. `done` is called once, on the thread of the first lock's shard, unless cancel() comes first.
    // This and the next two from any thread.
    void start(Done<SetGrant> done);
    // The caller has gone; of no effect after the answer.
    void cancel();
    // The answer with the grant could not be delivered.
    void abandon();

private:
    enum class State { taking, renewing, held, over };
    class Lock;

    template <class What>
    void at_home(What what);
    void take_next();
    void on_answer(Lock& lock, Result<Grant> granted);
    void renew_all();
    void on_renewed(Lock& lock, Result<Grant> renewed);
    void hold();
    void on_lost(Lock& lock, Reason reason, std::string_view why);
    void stop_renewals();
    void give_up();
    void refuse(const Lock& lock, Error error);
    SetGrant grant() const;
    const LockName& home() const;
    Instant first_sent_at() const;

    const Clock& clock_;
    const Post post_;
    const std::optional<RequestId> request_id_;
    const AcquireRequest each_;
    Done<SetGrant> done_;
    HolderId secret_{};
    std::vector<std::unique_ptr<Lock>> locks_;  // sorted by name
    std::size_t next_ = 0;                      // the lock that is asked for, or was last
    std::size_t missing_ = 0;                   // answers to renewals
    State state_ = State::taking;
};

// An error about one lock of a set says which: in the message, and as metadata "name".
Error of_lock(const LockName& name, Error error);

// Renews every lock of a set. `done` is called once all have answered, on the thread of the first lock's
// shard. LEASE_LOST if any is lost; else the first failure, if there is one, as OUTCOME_UNKNOWN unless
// all are STORE_UNAVAILABLE. Errors name the lock.
void renew_set(
    const Post& post, LeaseSet set, Ttl ttl, LockManager::CallTimes times, Done<SetGrant> done);

// Releases every lock of a set, whatever becomes of the others. `done` as above, with the worst that was
// found out: a failure as above, else superseded, else NOT_FOUND, else already expired, else held
// throughout.
void release_set(const Post& post, LeaseSet set, Instant call_deadline, Done<Released> done);

}  // namespace holdfast::core
