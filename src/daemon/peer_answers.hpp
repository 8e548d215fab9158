#pragma once

// What one station tells when it is asked about a lock. On its shard's thread.

#include "core/lock_manager.hpp"
#include "core/peers.hpp"

#include <cstdint>
#include <functional>

namespace holdfast::daemon {

// `store_time`: an instant in the store's time, in microseconds.
core::PeerAnswer explain(const core::LockManager& manager,
                         const core::LockName& name,
                         core::Instant now,
                         const std::function<std::int64_t(core::Instant)>& store_time);

}  // namespace holdfast::daemon
