#pragma once

// Runs scripts on a Redis client and turns whatever can happen into a StoreResult:
//
//   a reply                     its value
//   NOSCRIPT                    not executed: sent once more, with the source; or without, while another's
//                               source is under way (a Redis that came back empty gets thousands of
//                               commands at once, and a source is 20 kB), and with it if that did not help
//   an error that says that nothing was done, or a refused command   not_executed
//   any other error             unknown: it may have come in the middle
//   a lost reply                unknown
//   the server does not know script flags (Redis before 7.0)   the plain scripts from then on

#include "core/lock_store.hpp"
#include "redis/client.hpp"
#include "store/script.hpp"

#include <absl/container/flat_hash_set.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

// One script in the two forms.
struct ScriptPair {
    explicit ScriptPair(std::string_view source) : flagged(source), plain(without_flags(source)) {}
    Script flagged;
    Script plain;
};

// What Redis answered to a command that failed, as Redis said it; empty: it did not answer.
std::string_view answer_in(const core::StoreError& error);

class ScriptRunner {
public:
    explicit ScriptRunner(redis::Client& client) : client_(client) {}

    using Done = core::StoreDone<redis::Reply>;

    struct Call {
        const ScriptPair& script;
        std::size_t affinity;
        std::vector<std::string_view> keys;
        std::vector<std::string_view> arguments;
        core::Milliseconds timeout;
        bool gives_way = false;  // see redis::Command
    };
    void run(const Call& call, Done done);

    // The command that run() would send, for callers that may have to send it again, changed.
    std::string wire_of(const Call& call) const;
    void run_wire(const ScriptPair& script,
                  std::size_t affinity,
                  std::string wire,
                  core::Milliseconds timeout,
                  bool gives_way,
                  Done done);

    // A plain command, under the same rules.
    void command(const std::vector<std::string_view>& arguments,
                 core::Milliseconds timeout,
                 Done done);

private:
    struct Attempt;
    void send(std::shared_ptr<Attempt> attempt, std::string wire);
    void on_outcome(const std::shared_ptr<Attempt>& attempt, redis::Outcome outcome);
    void on_no_script(const std::shared_ptr<Attempt>& attempt);
    void send_source(const std::shared_ptr<Attempt>& attempt);

    redis::Client& client_;
    bool flags_known_ = true;                         // until the server says otherwise
    absl::flat_hash_set<const ScriptPair*> loading_;  // whose source is under way
};

}  // namespace holdfast::store
