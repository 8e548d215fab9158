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
//             -> known, with the verdict; a lost reply changes nothing, the next look will tell
//
// An empty store is new, and served at once, if that was said (assume_new), or if it has been up, and
// has not been flushed, for longer than any lease lasts. But only at our first look: later, it has lost
// its memory. A connection asks for the incarnation before it carries commands, so none reaches another
// process under the old name.
//
// Not noticed: a backup that is loaded into the running process, and is younger than what all daemons saw
// last: a second, and the distance of beats (half a second with a max_ttl of 30 s).

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
    };
    struct Finding {
        core::Milliseconds closed_for{0};                 // nothing is granted for so long
        std::optional<core::Milliseconds> other_max_ttl;  // the deployment's, if it is not ours
    };

    // `prefix`: that of the locks' keys.
    Canary(ScriptRunner& runner, const std::string& prefix, Options options);

    const std::string& key() const { return key_; }
    std::string printable_key() const;  // as redis-cli takes it in double quotes
    // The first look is done.
    bool watches() const { return looked_; }
    // For the scripts: see lua/_memory.lua.
    const std::string& known() const { return known_; }

    // A connection leads to this server.
    void connected_to(const redis::ServerInfo& server);
    // Looks now. `done` gets what was found, or why nothing was.
    void look(core::Milliseconds timeout, core::StoreDone<Finding> done);
    // A command was not executed, as the store does not know what we know.
    void lost();

private:
    core::StoreResult<Finding> learn(const redis::Value& reply);

    ScriptRunner& runner_;
    Options options_;
    std::string key_;
    ScriptPair script_;
    std::string incarnation_;
    std::string known_;
    bool looked_ = false;
    bool looking_again_ = false;
};

}  // namespace holdfast::store
