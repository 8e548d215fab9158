#pragma once

// LockStore over N (3 or 5) independent Redis: a lock is held while `required` of them, at least a majority,
// say so. Any minority may be down, paused, slow or cut off: what is answered needs `required` answers, and
// does not wait for the others. Exclusive locks only: the proof below needs that a node has one owner.
//
// Messages to a node (each one script, lua/quorum_*.lua; the record is described in lua/_quorum.lua):
//   TRY(a, p)     if the lock is free there, or the same holder's: the attempt a becomes its owner, until
//                 now + R. If p is above the node's fence F and the holder has no token there yet: F = p, and p
//                 is the owner's token: accepted. Answers F, and the token that the holder has there
//   COMMIT(a, t)  if a is the owner and t > F: F = t, and t is the owner's token
//   UNDO(a)       frees what a owns, unless others may believe in it; F is then what it was before a came
//   RENEW(h, t)   if the owner is h's and its token t: its expiry anew
//   REPAIR(h, t)  if the lock is free there and F <= t: a new nonce of h becomes owner and writes t, in one
// An attempt sends TRY to all nodes with p = max(clock of this daemon in us, highest token seen + 1), and is
// granted p if `required` accept it (1 round trip), else t = highest F that was told + 1 if `required` took it
// and take COMMIT(a, t) (2 round trips). See quorum_votes.hpp. It counts from its sending, and if its ttl has
// passed by the end, it was nothing.
//
// Order of tokens, without clocks. A node "writes" t by an accepted TRY, a COMMIT or a REPAIR. A grant is a
// token t that `required` nodes have written for one holder, and W those nodes.
//   (1) A write of t needs t > F and makes it F. F decreases only by an UNDO(a), to what it was before a: it
//       takes back a token that is no grant's, as a has ended without that and no retry has taken over. So what
//       a node writes for grants goes up. (Without it, those who only ask for a lock that is held would raise F
//       at a node that lacks the lease, and it could never be put there again.)
//   (2) A nonce becomes owner of a node's lock at most once: it is sent in one TRY, which is never sent again,
//       and never used for anything else. After a lost answer there is a new attempt, with a new nonce.
//   (3) COMMIT is conditional on the nonce.
// Take grants t1, t2 of different holders. Both W are majorities, so they have a node in common, and by (1) the
// one that was written there later is the greater: they differ, and at all common nodes in the same order. If
// the first was complete before the second's TRYs left, it was written first. Leases may expire at any time in
// this: expiry has to do with exclusion only. (2) and (3) would do for it, too, if COMMIT wrote max(F, t), as
// in FAULTS.md 2b; here they see to it that what is counted is owned, and what is undone is one's own.
// REPAIR alone writes t if F = t, too, but only a t that is a grant's: nobody else's grant has it, so those that
// were written there before have a lower one, and those after it a higher one.
//
// A retry (another call with the same holder id, at any daemon) is a new attempt with a new nonce that takes
// over what the holder has: the nonce changes, so that the former attempt cannot write there any more, the
// token does not. If `required` nodes show one token t, t is the grant that the retry gets: by the above any
// token that `required` nodes have written for one holder is one. If fewer do, t may be or have been a grant
// all the same, and is committed where F < t; if that cannot do, the retry gets a new, higher token. So it
// gets the same token unless a node that has it cannot be asked and another's attempt has raised F where it
// is not: never an older one, and never two holders.
//
// Exclusion, by the nodes' clocks' rates. A node keeps an owner for R = ttl + guard from when it executes TRY,
// RENEW or REPAIR, so longer than until sending + ttl, which is what is believed. Two believed leases have a
// node in common, where the earlier had expired, or was released by its holder, who had stopped. UNDO and
// CANCEL are no exception: an attempt's UNDO frees only what no retry has taken over and no renewal has
// counted (`believed` in the record). A REPAIR counts from the next round on: what is renewed has been held at
// `required` nodes all the time. A node whose clock is set forward frees its locks early, which breaks a bare
// majority (FAULTS.md 2b.6): hence all nodes are kept, `required` may be set higher, and a node that is seen to
// be set forward grants nothing for a while (quorum_nodes.hpp).
//
// What fails, and what becomes of it:
//   an answer is lost       the node does not count. The attempt's end is undone at all nodes, also where the
//                           TRY may come late: over the same connection, so behind it, and the nonce is closed
//                           there for 5 s, in case that connection is gone. UNDO is repeated until it is
//                           answered, or all has expired by itself. A leftover costs time, never safety
//   too few answers         `unknown` if something may have been executed, else `not_executed`
//   a node loses its memory quorum_nodes.hpp. Others' answers say so (not_ready), never a grant
//   a majority does         what was held is lost: LOST at the deadlines, and no grants until all have ended
//   votes split             back-off U(0, 2 round trips x contenders), and from the second try on the first
//                           node in the order of the list that is not slow is asked first: who has it has the
//                           others' way free. Who is in the way there again and again is looked for at all
//   a node stands still     nobody waits for it who can tell without it, or is to try again without it: once
//                           `required` have answered, the others have a few times as long as those took (at
//                           least 10 ms), or no time if they were slow before. What was asked of them is undone
//                           as after a lost answer
//
// Waiters. A refused TRY leaves a ticket for the daemon at each node; who releases has each node tell the
// daemon that has waited longest, and the word of `required` nodes wakes it (quorum_echoes.hpp). The order is
// advice: whoever gets a quorum has the lock. Lost words are made good by core's polls. A release that brings
// a waiter along tries for it in the same step at each node, unless another daemon's came earlier.

#include "core/backoff.hpp"
#include "core/holder_ids.hpp"
#include "core/lock_store.hpp"
#include "core/timers.hpp"
#include "store/quorum_nodes.hpp"
#include "store/quorum_votes.hpp"
#include "store/script_runner.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace holdfast::store {

class QuorumLockStore : public core::LockStore {
public:
    struct Options {
        QuorumNodes::Options nodes;
        std::string station;                       // 8 bytes, of this store's user alone
        std::function<std::int64_t()> wall_clock;  // us since 1970; empty: the system's
        std::uint32_t seed = 1;
    };

    // What is handed over outlives this. One client for each node, in the order of their names.
    QuorumLockStore(const std::vector<redis::Client*>& clients,
                    const core::Clock& clock,
                    core::TimerQueue& timers,
                    core::HolderIdSource& ids,
                    Options options);
    ~QuorumLockStore() override;

    void acquire(const core::AcquireCommand& command,
                 core::StoreDone<core::AcquireAnswer> done) override;
    void release(const core::Lease& lease,
                 const std::optional<core::Want>& next,
                 core::Milliseconds timeout,
                 core::StoreDone<core::ReleaseAnswer> done) override;
    // Refused, as are shared locks and permits.
    void downgrade(const core::Lease& lease,
                   core::Ttl ttl,
                   core::Milliseconds timeout,
                   core::StoreDone<core::RenewAnswer> done) override;
    void adopt(const core::Lease& lease,
               core::Ttl ttl,
               std::string_view from,
               core::Milliseconds timeout,
               core::StoreDone<core::RenewAnswer> done) override;
    void leave(const core::LockName& name,
               core::Milliseconds timeout,
               core::StoreDone<std::monostate> done) override;
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override;
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;
    void revoke(const core::RevokeCommand& command,
                core::Milliseconds timeout,
                core::StoreDone<std::vector<core::HolderState>> done) override;
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override;
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override;

    QuorumNodes& nodes() { return nodes_; }
    const QuorumNodes& nodes() const { return nodes_; }
    // By this daemon's clock: the nodes have none in common.
    std::int64_t store_time(core::Instant at) const;

    struct Counters {
        std::uint64_t fast = 0;       // grants in one round trip
        std::uint64_t slow = 0;       // in two
        std::uint64_t contested = 0;  // split votes
        std::uint64_t repairs = 0;    // leases put at nodes that did not have them
    };
    const Counters& counters() const { return counters_; }
    std::size_t undos_pending() const { return undos_.size(); }

private:
    using Reply = core::StoreResult<redis::Reply>;
    struct Arguments {
        std::vector<std::string> texts;
        std::optional<std::size_t> known_at;  // where a node's memory is said
    };
    // Called for each node's answer, also after the end; says whether enough is known.
    using Each = std::function<bool(std::size_t node, const Reply& reply)>;
    void ask(std::size_t node,
             const ScriptPair& script,
             const core::LockName& name,
             const Arguments& arguments,
             core::Milliseconds timeout,
             bool gives_way,
             std::function<void(const Reply&)> done);
    void ask_all(const ScriptPair& script,
                 const core::LockName& name,
                 const Arguments& arguments,
                 core::Milliseconds timeout,
                 bool gives_way,
                 Each each,
                 std::function<void()> end);
    void confirm_by_quorum(const ScriptPair& script,
                           const core::LockName& name,
                           const Arguments& arguments,
                           core::Milliseconds timeout,
                           core::StoreDone<std::monostate> done);

    struct Attempt;
    using AttemptPtr = std::shared_ptr<Attempt>;
    AttemptPtr new_attempt(const core::LockName& name,
                           const core::Want& want,
                           core::Milliseconds timeout,
                           core::StoreDone<core::AcquireAnswer> done);
    void prepare_try(Attempt& attempt);
    void begin_try(const AttemptPtr& attempt);
    void ask_others(const AttemptPtr& attempt);
    void append_want(const Attempt& attempt, std::vector<std::string>& texts) const;
    void send_try(const AttemptPtr& attempt, std::size_t node);
    void on_try(const AttemptPtr& attempt, unsigned number, std::size_t node, Vote vote);
    void step(const AttemptPtr& attempt);
    void hurry(const AttemptPtr& attempt);
    void do_without(const AttemptPtr& attempt);
    void send_commits(const AttemptPtr& attempt);
    void on_grant(const AttemptPtr& attempt);
    void on_contested(const AttemptPtr& attempt);
    void refuse(const AttemptPtr& attempt, Votes::Verdict verdict);
    core::Busy busy(const Attempt& attempt);
    core::Milliseconds left(const Attempt& attempt) const;
    Vote vote_of(const Reply& reply, std::size_t node, std::size_t at);
    std::string ticket(const std::optional<core::QueueHead>& head) const;
    std::string stamp(core::Instant arrival) const;

    struct Undo;
    void undo(Attempt& attempt);
    void leave_to_older(const Attempt& attempt,
                        unsigned number,
                        std::size_t node,
                        const Vote& vote);
    void repeat_release(const core::Lease& lease, std::size_t node);
    void take_back(const core::LockName& name,
                   std::size_t node,
                   const ScriptPair& script,
                   Arguments arguments,
                   core::Instant until);
    void send_undo(std::list<Undo>::iterator place);

    struct Releasing;
    void on_release(const std::shared_ptr<Releasing>& releasing,
                    std::size_t node,
                    const Reply& reply);
    static void finish_release(const std::shared_ptr<Releasing>& releasing);

    struct Round;
    void renew_round(std::vector<core::RenewCommand> commands,
                     std::optional<std::string> adopt_from,
                     core::Milliseconds timeout,
                     core::StoreDone<std::vector<core::RenewAnswer>> done);
    void on_renewals(const std::shared_ptr<Round>& round, std::size_t node, const Reply& reply);
    void repair(const std::shared_ptr<Round>& round);
    void copy(const std::shared_ptr<Round>& round,
              std::size_t from,
              const std::vector<std::size_t>& which);
    void send_repair(const Round& round, std::size_t which, const redis::Value& copied);

    struct Reading;
    using ReadDone = core::StoreDone<std::shared_ptr<Reading>>;
    void read(const std::vector<core::LockName>& names,
              unsigned awaited,
              core::Milliseconds timeout,
              ReadDone done);
    struct Listing;
    void scan(const std::shared_ptr<Listing>& listing);
    std::optional<std::size_t> next_to_scan(const Listing& listing) const;
    void on_scan(const std::shared_ptr<Listing>& listing, const Reply& reply);
    void end_page(const std::shared_ptr<Listing>& listing, const std::string& cursor);

    std::string key_of(const core::LockName& name) const { return prefix_ + name.text(); }
    core::StoreError too_few(bool executed) const;
    void later(std::function<void()> what);
    template <class Answer>
    void refuse_mode(core::StoreDone<Answer> done);

    const core::Clock& clock_;
    core::TimerQueue& timers_;
    core::HolderIdSource& ids_;
    std::string prefix_;
    std::string station_;
    std::function<std::int64_t()> wall_clock_;
    QuorumNodes nodes_;
    core::Random random_;
    std::uint64_t highest_ = 0;  // token seen or proposed
    core::Duration round_trip_ = std::chrono::microseconds{500};
    Counters counters_;
    std::list<Undo> undos_;
    std::vector<std::size_t> undos_at_;  // how many of them, of each node
    std::list<core::Timer> later_;
    std::set<AttemptPtr> resting_;  // until they try again
    std::size_t repairing_ = 0;

    ScriptPair try_;
    ScriptPair commit_;
    ScriptPair undo_;
    ScriptPair cancel_;
    ScriptPair release_;
    ScriptPair renew_;
    ScriptPair repair_;
    ScriptPair read_;
    ScriptPair revoke_;
};

}  // namespace holdfast::store
