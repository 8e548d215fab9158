#pragma once

// What the answers of a quorum's nodes mean, without the nodes: pure decisions, which the tests go through
// one by one. The protocol, and why these decisions are safe, is in quorum_lock_store.hpp.
//
// One attempt to be granted a lock:
//   trying      a TRY is on its way to each node
//               -> granted     `required` nodes have accepted the proposal, or hold one older token for the
//                              same holder (a retry): 1 round trip
//               -> committing  `required` nodes are the attempt's, but not with one token. An older token of
//                              the holder is waited for and kept if it can be, as it may have been told
//               -> an end      as soon as it cannot come to `required` any more; or when `required` have
//                              answered, and the others, which would be needed, have not for a while: a node
//                              that stands still holds nobody up who has split the votes of those that do not
//   committing  the token is written to the nodes that are the attempt's; also to those that turn out to be
//               -> granted     `required` have it
//               -> an end      they cannot any more
// Each end but granted is followed by an undo at all nodes; a grant of an older token by one at the nodes that
// have accepted the proposal.
//
// A node that is silent (its answer was lost or is late) may have executed what it was asked, one that is
// unreachable has not; neither counts.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

struct QuorumSize {
    std::size_t nodes = 3;
    std::size_t required = 2;

    std::size_t majority() const { return nodes / 2 + 1; }
};

// What one node has answered to a TRY.
struct Vote {
    enum class Kind {
        pending,    // nothing yet
        accepted,   // it is the attempt's, with the proposal as its token
        locked,     // it is the attempt's; `token`: the one that the holder has there already, or 0
        refused,    // it is another holder's
        closed,     // the holder id or the call was closed, or the lease was revoked
        not_held,   // it is not the holder's, and no more was asked
        not_ready,  // it takes no part yet
        conflict,   // the key is something else
        unreachable,  // certainly not executed
        silent,       // perhaps executed, perhaps later
    };
    Kind kind = Kind::pending;
    std::uint64_t fence = 0;
    std::uint64_t token = 0;
    std::int64_t left_us = 0;  // refused: until it may be free; not_ready: until it may take part
    std::string holder;        // refused: whose it is
    std::string owner;         // its text
    std::size_t waiting = 0;   // at other daemons
};

class Votes {
public:
    enum class Verdict {
        open,
        commit,  // write token() to commit_to()
        granted,
        held,         // by one other holder
        contested,    // by nobody for sure: others are trying, too
        closed,       // never to be granted
        not_held,     // only_again: there is no such lease
        conflict,     // the name is used otherwise
        recovering,   // too many nodes take no part yet
        unreachable,  // certainly nothing done, but for what an undo takes back
        unknown,
    };

    Votes(QuorumSize size, std::uint64_t proposal, bool only_again)
        : size_(size), proposal_(proposal), only_again_(only_again), votes_(size.nodes) {}

    void cast(std::size_t node, Vote vote);
    // What became of the COMMIT there.
    enum class Written { pending, done, refused, unreachable, silent };
    void written(std::size_t node, Written what);

    Verdict verdict() const;
    // `required` have answered, and the others are waited for only as they may give what is missing. Not if
    // the holder has an older token: that is looked for as long as it takes.
    bool rest_is_spare() const;
    // Those that have not answered are taken for silent, until they do.
    void give_up_pending();
    // After commit: goes to committing.
    void begin_commit();
    // Where the token has still to be written to.
    std::vector<std::size_t> commit_to() const;
    void sent_commit(std::size_t node);

    // What is being committed.
    std::uint64_t token() const { return token_; }
    bool commits() const { return !written_.empty(); }
    // Of a grant.
    std::uint64_t granted_token() const;
    // The token is older than this attempt: others may believe in it.
    bool completes() const { return completes_; }

    const Vote& at(std::size_t node) const { return votes_[node]; }
    std::size_t count(Vote::Kind kind) const;
    // Whether the attempt may own the lock there, now or later.
    bool may_own(std::size_t node) const;
    bool may_come(std::size_t node) const;  // its TRY is perhaps yet to be executed

    // Of a refusal: the holder that most nodes name; empty if none does.
    const Vote* holder() const;
    // When so many nodes may be free that another attempt can be granted.
    std::int64_t free_in_us() const;
    // The highest fence that was told.
    std::uint64_t highest() const;

private:
    bool owns(std::size_t node) const;
    std::size_t owned() const;
    std::size_t answered() const;  // whether it is the attempt's
    std::uint64_t older_token() const;
    std::size_t with_token(std::uint64_t token) const;
    Verdict trying() const;
    Verdict committing() const;
    Verdict why_not() const;

    QuorumSize size_;
    std::uint64_t proposal_;
    bool only_again_;
    std::vector<Vote> votes_;
    std::vector<std::optional<Written>> written_;  // while committing; empty: not asked
    std::uint64_t token_ = 0;
    bool completes_ = false;
};

// What became of one lease in a round of renewals.
class Renewal {
public:
    enum class Kind { renewed, lacking, forgotten, taken, closed, released, conflict, absent };
    struct Answer {
        Kind kind = Kind::absent;  // absent: no answer, or the node takes no part
        std::uint64_t fence = 0;
        std::int64_t closes_in_us = -1;
    };
    enum class Verdict { open, renewed, lost, closed, released, unanswered };

    // `adopts`: the lease is to be told of elsewhere from now on; `closed` may mean that it is already.
    explicit Renewal(QuorumSize size, bool adopts = false)
        : size_(size), adopts_(adopts), answers_(size.nodes) {}

    void answer(std::size_t node, Answer answer) { answers_[node] = answer; }
    Verdict verdict() const;
    std::size_t count(Kind kind) const;
    std::uint64_t highest() const;
    // The earliest that any node tells; -1: it was not revoked.
    std::int64_t closes_in_us() const;
    const std::optional<Answer>& at(std::size_t node) const { return answers_[node]; }

    // A lease that is told with this token may be put at this node.
    bool repairable(std::size_t node, std::uint64_t token) const;
    // A fence no lower than a majority of the others': for a node that has forgotten the lock. Empty if
    // too few have answered.
    std::optional<std::uint64_t> fence_of_others(std::size_t node) const;

private:
    QuorumSize size_;
    bool adopts_;
    std::vector<std::optional<Answer>> answers_;
};

// What became of a lease that was released.
class Ending {
public:
    enum class Kind { no_trace, held, not_held, newer, conflict, absent };
    struct Answer {
        Kind kind = Kind::absent;
        std::uint64_t newer = 0;
    };
    enum class Verdict {
        open,
        held_throughout,
        expired,
        superseded,
        no_trace,
        conflict,
        unanswered
    };

    explicit Ending(QuorumSize size) : size_(size), answers_(size.nodes) {}

    void answer(std::size_t node, Answer answer) { answers_[node] = answer; }
    Verdict verdict() const;
    std::uint64_t newer() const;

private:
    std::size_t count(Kind kind) const;

    QuorumSize size_;
    std::vector<std::optional<Answer>> answers_;
};

}  // namespace holdfast::store
