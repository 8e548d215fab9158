#pragma once

// Asks the store once a second whether it answers, so that readiness follows what matters: a Redis
// that hangs keeps its connections. One per shard, on its thread.

#include "core/timers.hpp"
#include "redis/pool.hpp"

#include <functional>
#include <string>

namespace holdfast::daemon {

class StoreProbe {
public:
    // `report` gets each finding: empty if the store answers, else why not.
    using Report = std::function<void(const std::string& trouble)>;

    StoreProbe(redis::Pool& pool,
               const core::Clock& clock,
               core::TimerQueue& timers,
               core::Milliseconds timeout,
               Report report);

    // Every second from now on.
    void start();
    // Now, too: a connection has come up or gone down.
    void probe();

private:
    void on_outcome(const redis::Outcome& outcome);

    redis::Pool& pool_;
    const core::Clock& clock_;
    core::Milliseconds timeout_;
    Report report_;
    core::Timer timer_;
    bool under_way_ = false;
};

}  // namespace holdfast::daemon
