#pragma once

// The nodes of a quorum: which of them may be relied on, and what one that has lost its memory has to do
// before it takes part again (lua/quorum_node.lua).
//
// A node, as seen from here:
//   down      no answer to the last look; what is sent to it says what was known before
//   waiting   its memory began anew (an empty Redis, another process): it takes no part for as long as any
//             lease may last (the longest ttl and the guard), so no attempt or lease that it has been a part
//             of is still under way
//             -> syncing
//   syncing   it needs a floor for its fences: the highest of a majority of the OTHER nodes, which are asked
//             after the wait is over -> taking part
//   part      it takes part
//   foreign   it belongs to another set of nodes, or the daemons there have another max_ttl: nothing is
//             granted here at all then, as two sets with disjoint majorities would both grant
//   (new)     no memory at any node: with assume_new all take part at once. One node with a memory means
//             that the others have lost theirs
//
// Why one floor for the whole node is as safe as asking for the fence of each lock: for every lock, a node's
// fence is at most the highest that it ever wrote, which it keeps. So the highest of those is at least the
// highest fence of the lock at the same nodes; and to begin with a fence that is too high costs a round trip,
// never order. The majority of others has a node in common with the majority of every earlier grant, as that
// was without this node's vote a majority less one: (majority - 1) + majority > nodes - 1. It costs this:
// leases from before cannot be put at the node by the floor; they are by the fence of that very lock at a
// majority of others (Renewal::fence_of_others).
//
// A node whose clock is set forward frees its locks early: another may be granted there what is still believed
// to be held, which breaks a bare majority (FAULTS.md 2b.6). Every reply tells the node's time, so the first one
// after the step shows it (clock_steps.hpp). No TRY or COMMIT that is answered from then on counts, until the
// node knows that it is doubted: it grants nothing for as long as any lease may last, whichever daemon asks.
// Renewals go on there: a record that has not expired yet has been its owner's all the time.
//
// If fewer than a majority of others have their memory, because several lost it, the wait is all the same,
// and the node's clock takes the place of the missing fences: proposals begin at the time in microseconds,
// too. Then order holds as far as the clocks do. If a majority of others cannot be asked at all, the node
// stays out.

#include "core/holder_ids.hpp"
#include "core/lock_store.hpp"
#include "redis/server_info.hpp"
#include "store/clock_steps.hpp"
#include "store/quorum_votes.hpp"
#include "store/script_runner.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::store {

class QuorumNodes {
public:
    struct Options {
        QuorumSize size;
        std::string prefix;              // of the locks' keys
        std::vector<std::string> names;  // of the nodes, for people; the same at all daemons
        core::Ttl max_ttl{std::chrono::seconds{30}};
        bool assume_new = false;
        core::Duration clock_guard = kClockGuard;
    };
    enum class State { down, waiting, syncing, part, foreign, empty };
    struct Status {
        State state = State::down;
        core::Milliseconds left{0};  // waiting
        std::string
            why;  // down; waiting, unless its memory began; foreign: what they agree on there
    };

    // What is handed over outlives this. One client for each node.
    QuorumNodes(const std::vector<redis::Client*>& clients,
                const core::Clock& clock,
                core::HolderIdSource& ids,
                Options options);

    const QuorumSize& size() const { return options_.size; }
    core::Ttl max_ttl() const { return options_.max_ttl; }
    ScriptRunner& runner(std::size_t node) { return nodes_[node]->runner; }
    // For the scripts: see take_part() in lua/_quorum.lua.
    const std::string& known(std::size_t node) const { return nodes_[node]->known; }
    const std::string& key() const { return key_; }
    std::string printable_key() const;  // as redis-cli takes it in double quotes
    const std::string& name(std::size_t node) const { return options_.names[node]; }
    const Status& status(std::size_t node) const { return nodes_[node]->status; }
    // Since when it is known to take part; kNever: it does not.
    core::Instant part_since(std::size_t node) const { return nodes_[node]->part_since; }
    std::size_t taking_part() const;
    std::size_t foreign() const;

    // A connection leads to this server.
    void connected_to(std::size_t node, const redis::ServerInfo& server);
    // Asks all nodes, and brings on those that it can. `done` is called when all have answered or failed.
    void look(core::Milliseconds timeout, std::function<void()> done);
    // A script was refused, as the node takes no part.
    void refused(std::size_t node);

    // It has answered, which took so long; or not in time, or it is not there.
    void heard(std::size_t node, bool answered, core::Duration took);
    // It was waited for so long, and is not any more: it may stand still.
    void is_late(std::size_t node, core::Duration waited);
    // So long whoever can do without a node waits for it all the same: as long as it may take one that is as
    // good as those that answer first, `required` of them.
    core::Duration patience() const;
    // It does not answer, or takes longer than that.
    bool is_slow(std::size_t node) const;
    // The first in the order of names that takes part and is not slow: contenders meet there.
    std::size_t first_to_ask() const;

    // A reply says the node's time; its command left at `sent_at`.
    void learn_time(std::size_t node, const redis::Value& time, core::Instant sent_at);
    // Its clock was set forward, and it may not know yet: what it has granted does not count.
    bool is_doubted(std::size_t node) const { return nodes_[node]->is_doubted; }
    const ClockSet& clock_set() const { return clock_set_; }
    // `listener` is told of each.
    using ClockSetAtNode = std::function<void(std::size_t node, std::chrono::microseconds by)>;
    void on_clock_set(ClockSetAtNode listener) { clock_set_listener_ = std::move(listener); }

private:
    struct Node {
        explicit Node(redis::Client& client) : runner(client) {}
        ScriptRunner runner;
        std::string incarnation;  // of the Redis that the newest connection leads to
        std::string memory;       // its name; empty: not known
        std::string known;
        Status status;
        std::uint64_t highest = 0;  // fence
        core::Instant part_since = core::kNever;
        unsigned failures = 0;
        core::Duration latency{0};  // smoothed
        bool answered = false;      // in this round
        bool was_syncing = false;
        ClockSteps clock_steps;
        bool is_doubted = false;
    };
    struct Round;
    void start_round(core::Milliseconds timeout);
    void plan(Round& round);
    void ask(const std::shared_ptr<Round>& round, std::size_t node);
    void learn(std::size_t node, bool doubted, const core::StoreResult<redis::Reply>& reply);
    bool answers(std::size_t node) const;  // and takes part
    void finish(core::Milliseconds timeout);
    std::size_t count(State state) const;

    const core::Clock& clock_;
    core::HolderIdSource& ids_;
    Options options_;
    std::string key_;
    std::string agreement_;
    std::string longest_;  // us
    ScriptPair script_;
    std::vector<std::unique_ptr<Node>> nodes_;
    bool looking_ = false;
    bool again_ = false;     // another look was asked for meanwhile
    unsigned in_a_row_ = 0;  // rounds
    core::Instant first_look_ = core::kNever;
    bool is_settled_;  // whether the nodes are new
    std::vector<std::function<void()>> waiting_;
    ClockSet clock_set_;
    ClockSetAtNode clock_set_listener_;
};

}  // namespace holdfast::store
