#pragma once

// Listens for changes of locks on the channels where the scripts tell of them (lua/_record.lua): one for
// a lock, all for a prefix.

#include "core/watchers.hpp"
#include "redis/subscriber.hpp"
#include "store/redis_lock_store.hpp"

#include <array>
#include <cstddef>

namespace holdfast::store {

class WatchChannels final : public core::ChangeFeed {
public:
    // What is handed over outlives this.
    WatchChannels(const RedisLockStore& store, redis::Subscriber& subscriber)
        : store_(store), subscriber_(subscriber) {}

    bool begin(const core::WatchScope& scope) override;
    void end(const core::WatchScope& scope) override;

private:
    template <class Do>
    void for_each_channel(const core::WatchScope& scope, Do what);

    const RedisLockStore& store_;
    redis::Subscriber& subscriber_;
    std::array<std::size_t, RedisLockStore::kWatchChannels> listeners_{};
};

}  // namespace holdfast::store
