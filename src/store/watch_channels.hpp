#pragma once

// Listens for changes of locks on the channels where the scripts tell of them (lua/_record.lua): one for
// a lock, all for a prefix.

#include "core/watchers.hpp"
#include "store/inbox.hpp"
#include "store/notices.hpp"

#include <array>
#include <cstddef>

namespace holdfast::store {

class WatchChannels final : public core::ChangeFeed {
public:
    // What is handed over outlives this.
    WatchChannels(const Notices& notices, Inbox& inbox) : notices_(notices), inbox_(inbox) {}

    bool begin(const core::WatchScope& scope) override;
    void end(const core::WatchScope& scope) override;

private:
    template <class Do>
    void for_each_channel(const core::WatchScope& scope, Do what);

    const Notices& notices_;
    Inbox& inbox_;
    std::array<std::size_t, Notices::kWatchChannels> listeners_{};
};

}  // namespace holdfast::store
