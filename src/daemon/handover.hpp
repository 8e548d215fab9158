#pragma once

// Where the leases go that this daemon renews though nobody is connected (max_hold_ms, or a stream that
// broke with a grace), when it drains. One per shard, on its thread.
//
//   idle      -> leaving, begin(): the station takes itself out of the list, and learns who is there
//   leaving   -> offering, when the store has said so, or does not answer
//   offering  what is left is offered to a station of another daemon, every 300 ms to one at random. Who
//             takes a lease over has the store tell us, and it is not ours any more. It is over() when
//             nothing is left, or nobody else is there, so that the rest ends by its ttl
//
// What is left is renewed here until the daemon ends.

#include "core/lock_manager.hpp"
#include "core/timers.hpp"
#include "daemon/store_site.hpp"
#include "store/redis_peers.hpp"

namespace holdfast::daemon {

class Handover {
public:
    Handover(const core::Clock& clock,
             core::TimerQueue& timers,
             const core::LockManager& manager,
             const StoreSite& store,
             store::RedisPeers& peers)
        : clock_(clock), manager_(manager), store_(store), peers_(peers), again_(timers) {}

    // The manager drains already.
    void begin();

    bool over() const;
    // Leases that have found nobody, at most as many as are offered at once.
    std::size_t left() const;

private:
    void offer();

    const core::Clock& clock_;
    const core::LockManager& manager_;
    const StoreSite& store_;
    store::RedisPeers& peers_;
    core::Timer again_;
    bool offering_ = false;
    bool alone_ = false;
};

}  // namespace holdfast::daemon
