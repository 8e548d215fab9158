#pragma once

// Asks Redis every 10 s, and when a connection comes up, what it says of itself, and has it judged
// (checks.hpp). One for each daemon, on the thread of one shard: what is asked is the same for all. It goes
// among the shard's other commands, a few short ones: INFO takes Redis some 0.1 ms, and no section is asked
// for that walks over keys or clients.
//
// An answer that is lost changes nothing: StoreProbe tells of a Redis that does not answer. What Redis
// refuses to tell is not known, and judged so.

#include "core/timers.hpp"
#include "daemon/checks.hpp"
#include "daemon/logging.hpp"
#include "redis/client.hpp"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::daemon {

class Preflight {
public:
    using Report = std::function<void(const std::vector<Check>& found)>;

    // `report` is called after each round, on the shard's thread.
    Preflight(redis::Client& client,
              const core::Clock& clock,
              core::TimerQueue& timers,
              Logger logger,
              CheckOptions options,
              core::Milliseconds timeout,
              Report report);

    // Now, and from now on.
    void look();
    // Never again.
    void stop() { timer_.cancel(); }

private:
    struct Round;
    void ask(const std::shared_ptr<Round>& round,
             const std::vector<std::string_view>& command,
             std::function<void(const redis::Value& reply)> take);
    void ask_config(const std::shared_ptr<Round>& round,
                    std::string_view name,
                    std::optional<std::string>& value);
    void judge(const Round& round);
    void log_changes(const std::vector<Check>& found);

    redis::Client& client_;
    const core::Clock& clock_;
    Logger logger_;
    CheckOptions options_;
    core::Milliseconds timeout_;
    Report report_;
    std::vector<Check> last_;
    bool under_way_ = false;
    core::Timer timer_;
};

}  // namespace holdfast::daemon
