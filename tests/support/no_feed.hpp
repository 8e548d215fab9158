#pragma once

#include "core/watchers.hpp"

namespace holdfast::test {

// Nobody is told of changes.
class NoFeed final : public core::ChangeFeed {
public:
    bool begin(const core::WatchScope&) override { return true; }
    void end(const core::WatchScope&) override {}
};

}  // namespace holdfast::test
