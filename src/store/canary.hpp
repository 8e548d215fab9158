#pragma once

// Watches whether the store still has its memory, by a key of its own (lua/_memory.lua, lua/canary.lua).
//
//   unknown   before the first look: what is sent says so, and is not executed
//   known     every command carries what was seen last: the canary's beat and the incarnation of the
//             Redis that the newest connection leads to. A store that knows less executes nothing
//             -> looking, each second; when a command was not executed for it; when a connection leads
//                to another incarnation
//   looking   canary.lua makes a canary where there is none, or an outdated one new: from then on nothing
//             is granted for as long as any lease may last, in which daemons put back what they hold
//             -> known, with the verdict; a lost reply changes nothing, the next look will tell. If it
//                is not the memory that was known before, on_loss is called: what is held has to be put
//                back, at once
//
// An incarnation is what the connection was told when it was made, as every look finds it by then
// (lua/_incarnation.lua): a Redis that was demoted and promoted meanwhile is another, though its
// connections stay; one that has forgotten whom it once replaced is the same.
//
// An empty store is new, and served at once, if that was said (assume_new), or if it has been up, and
// has not been flushed, for longer than any lease lasts. But only at our first look: later, it has lost
// its memory. A connection asks for the incarnation before it carries commands, so none reaches another
// process under the old name.
//
// In strict mode a store that has lost its memory is sealed at first: nothing is granted for as long as
// it takes until a majority of all nodes is known to follow this Redis, as `await_majority` says, and then
// for as long as any lease may last. (Counted from the loss it would be too early: while the replicas
// still follow an old primary, that goes on to renew what it has granted.) The store keeps this, so daemons
// that come and go change nothing, and the first that knows of the majority opens it for all.
//
// A clock of Redis that was set forward, beyond the guard on leases, is answered in the same way: leases end
// there early, and what is still held is put back before anything is granted. Until Redis has confirmed that
// nothing is granted, no grant is believed. A clock that was set back lets the time until grants go on begin
// anew at most.
//
// In a Cluster a script sees its lock's slot alone, so the canary is apart: each primary has one of its own,
// in a slot of its own (settle(), settled again when that goes elsewhere), and the scripts are told from when
// on grants are open, as of the last look. Hence what a look has not confirmed is closed (see known()): after
// a connection to another incarnation, and when no look has been answered for kStale. A primary that is
// emptied without that, by FLUSHALL, is noticed at the next look: up to a second later.
//
// Not noticed before the next look: a primary that was demoted and promoted while its connections stay.
// Not noticed at all: a backup that is loaded into the running process, and is younger than what all daemons saw
// last: a second, and the distance of beats (half a second with a max_ttl of 30 s).

#include "core/clock.hpp"
#include "core/lock_store.hpp"
#include "redis/server_info.hpp"
#include "store/script_runner.hpp"

#include <functional>
#include <optional>
#include <string>

namespace holdfast::store {

class Canary {
public:
    struct Options {
        core::Ttl max_ttl{std::chrono::seconds{30}};  // of the deployment: the same for all daemons
        bool assume_new = false;                      // a store without a canary is new
        bool async = false;                           // grants go on after a loss
        // Strict mode: asks whether a majority of nodes has what the primary of this incarnation has by
        // now, and says so once, if not from within.
        std::function<void(std::string incarnation, std::function<void(bool)> done)> await_majority;
        std::function<void()> on_loss = [] {};  // since the last look
        bool apart = false;                     // in a Cluster: see above
    };
    struct Finding {
        core::Milliseconds closed_for{0};                 // nothing is granted for so long
        bool sealed = false;                              // nor before a majority follows
        std::optional<core::Milliseconds> other_max_ttl;  // the deployment's, if it is not ours
    };

    // Is told what TIME said to a look that was sent then.
    using HearTime = std::function<void(const redis::Value& time, core::Instant sent_at)>;

    // `prefix`: that of the locks' keys.
    Canary(ScriptRunner& runner,
           const core::Clock& clock,
           const std::string& prefix,
           Options options,
           HearTime hear_time);

    const std::string& key() const { return key_; }
    const std::string& tag() const { return tag_; }  // that the key has

    // Apart only: the canary is in this slot's key of the node from now on. Looked at next time. What is
    // known goes along: a node that was open, and has the same incarnation, is open still.
    void settle(std::string_view tag, std::string_view node);
    // Apart only: this incarnation has been seen without any slot, and so without any lock: it is new.
    void is_blank() { blank_ = incarnation_; }
    // Apart only: what is here now may be less than what was known elsewhere; nothing is granted for as long
    // as any lease may last. Looks.
    void inherit_doubt();
    // Whether grants may be tried: always, unless apart. It is not asked only when a look ends, as this daemon
    // may have stood still since.
    bool verified() const {
        return !options_.apart || (said_.size() > 1 && clock_.now() - looked_at_ <= kStale);
    }
    static constexpr core::Milliseconds kStale{3000};
    // Apart only: when grants go on, by our clock, not too early; as of the last look. It is verified.
    core::Instant opens_at() const { return opens_at_; }
    // Apart only: until end_raise() the scripts are told that grants go on at this time of Redis, us, if that
    // is later than what is known.
    void raise(std::int64_t open_at);
    void end_raise() { raised_.clear(); }

    std::string printable_key() const;  // as redis-cli takes it in double quotes
    // The first look is done.
    bool watches() const { return looked_; }
    // For the scripts: see lua/_memory.lua.
    const std::string& known() const {
        return !options_.apart ? known_ : (raised_.empty() ? said_ : raised_);
    }

    // Of the server that the newest connection leads to.
    std::string incarnation() const;

    // A connection leads to this server. Whether that is another than before.
    bool connected_to(const redis::ServerInfo& server);
    // Looks now. `done` gets what was found, or why nothing was.
    void look(core::Milliseconds timeout, core::StoreDone<Finding> done);
    // A command was not executed, as the store does not know what we know.
    void lost();

    // Redis' clock was set forward: leases may have ended early there.
    void clock_set_forward();
    // Whether a grant by a command that left then may be believed.
    bool trusts(core::Instant sent_at) const { return sent_at >= trusted_from_; }

private:
    // What is known when one leaves.
    struct Look {
        std::string key;
        std::uint64_t server;
        core::Instant sent_at;
        bool after_step;
        std::uint64_t step;
    };
    core::StoreResult<Finding> learn(const Look& what, const redis::Value& reply);
    void incarnation_now(std::string incarnation);
    void unseal();
    void doubt_if_stale();

    ScriptRunner& runner_;
    const core::Clock& clock_;
    Options options_;
    HearTime hear_time_;
    const std::string prefix_;
    std::string key_;
    std::string tag_;
    ScriptPair script_;
    std::string incarnation_ = "000";  // as in the canary: its length, and itself
    std::uint64_t servers_ = 0;        // that connections have led to
    std::string memory_;  // whose it is, and since when it is open, as of the last look
    std::string known_;
    std::string said_ = "=";  // apart: as the scripts are told
    std::string raised_;      // apart: as they are told for now, if it is not empty
    core::Instant opens_at_{};
    bool moved_ = false;  // apart: to a key that has not been looked at
    std::string blank_;   // apart: this incarnation is new
    core::Instant looked_at_{};
    bool looked_ = false;
    bool looking_again_ = false;
    bool unsealing_ = false;   // a majority is being asked for
    std::string followed_;     // as incarnation_: a majority follows this one; for the next look
    std::uint64_t steps_ = 0;  // of the clock, forward
    core::Instant trusted_from_ =
        core::Instant::min();  // kNever: the store does not know of the last step
};

}  // namespace holdfast::store
