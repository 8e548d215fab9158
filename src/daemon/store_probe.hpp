#pragma once

// Looks once a second whether the store answers and still has its memory, so that readiness follows what
// matters: a Redis that hangs keeps its connections. One per shard, on its thread.

#include "core/timers.hpp"
#include "daemon/readiness.hpp"
#include "redis/pool.hpp"
#include "store/canary.hpp"

#include <functional>
#include <string>

namespace holdfast::daemon {

class StoreProbe {
public:
    using Report = std::function<void(Condition found)>;

    StoreProbe(redis::Pool& pool,
               store::Canary& canary,
               const core::Clock& clock,
               core::TimerQueue& timers,
               core::Milliseconds timeout,
               Report report);

    // Every second from now on.
    void start();
    // Now, too: a connection has come up or gone down.
    void probe();
    // Never again.
    void stop() { timer_.cancel(); }

private:
    Condition judge(const core::StoreResult<store::Canary::Finding>& found);
    Condition closed_for(core::Milliseconds left);

    redis::Pool& pool_;
    store::Canary& canary_;
    const core::Clock& clock_;
    core::Milliseconds timeout_;
    Report report_;
    core::Timer timer_;
    bool under_way_ = false;
    core::Instant opens_at_{};  // of what was said last
    std::string said_;
};

}  // namespace holdfast::daemon
