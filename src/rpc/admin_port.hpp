#pragma once

// What AdminService needs of the daemon as a whole: the composition root hands it in. Called from any
// thread, unless it says otherwise.

#include "core/peers.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::rpc {

struct AdminPort {
    std::string version;
    std::string daemon;  // its name in the store
    core::Instant started_at{};
    std::function<std::vector<std::string>()> why_not_ready;  // empty: it is
    std::function<std::vector<std::string>()> warnings;  // what is not as it should be, but served
    // Asks every daemon's stations; on this shard's thread.
    std::function<void(
        std::size_t shard, core::PeerQuestion question, core::StoreDone<core::PeerAnswers> done)>
        ask;
    // Begins to end the daemon, as SIGTERM does; `most`: instead of drain.timeout.
    std::function<void(std::optional<core::Milliseconds> most)> drain;
};

}  // namespace holdfast::rpc
