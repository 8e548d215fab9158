#pragma once

// Is this Redis fit to keep locks? A judgement on what it says of itself, without any I/O. Preflight asks.
//
//   server       refused: it is no Redis of 6.2 or later, whose scripts ours are
//   role         refused: a replica, whose primary decides
//   loading      refused: it reads its data from disk, and knows nothing yet
//   eviction     refused: with any maxmemory-policy but noeviction a full Redis throws locks away, and first
//                of all, as they are the keys with a ttl. A warning with store.allow_eviction
//   memory       warning: nearly full; then nothing new is granted
//   disk         warning: it could not write to disk lately; it may refuse to write at all for it
//   persistence  nothing is kept on disk: what no daemon renews is gone with the process
//   backlog      warning: with so small a repl-backlog-ttl it may forget that it was demoted and promoted
//                before a daemon has seen it (lua/_incarnation.lua)
//   replicas     fewer are connected than store.replicas. Refused in strict mode: more are, which makes
//                the majority less than one
//   info         warning: it does not tell (an ACL); some of this could not be checked
//
// persistence and replicas are what a Redis can be used without: store.preflight says whether they are a warning
// or refused. Refused means that nothing is granted, and what is held goes on.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::daemon {

enum class Severity { fine, warning, refused };

struct Check {
    std::string name;
    Severity severity = Severity::fine;
    std::string text;  // what is wrong and what to do; without figures that change all the time

    bool operator==(const Check&) const = default;
};

struct CheckOptions {
    bool allow_eviction = false;
    bool strict = false;       // what could be a warning is refused
    std::size_t replicas = 0;  // expected
    bool expects_persistence = true;
    bool may_read_config = true;
    bool no_more_replicas = false;  // strict mode, whose majority is of those that are expected
    std::string where = {};         // of several: which it is, to begin each text with
};

// Of CONFIG GET, if it says.
struct ToldConfig {
    std::optional<std::string> save;
    std::optional<std::string> repl_backlog_ttl;
};

// `info`: the sections of INFO that it gave, one after the other. All checks, in the order above, fine ones
// too.
std::vector<Check> judge(std::string_view info,
                         const ToldConfig& config,
                         const CheckOptions& options);

}  // namespace holdfast::daemon
