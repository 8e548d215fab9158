#pragma once

// What AdminService needs of the daemon as a whole: the composition root hands it in. Called from any
// thread.

#include "core/clock.hpp"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::rpc {

struct AdminPort {
    std::string version;
    std::string daemon;  // its name in the store
    core::Instant started_at{};
    std::function<std::vector<std::string>()> why_not_ready;  // empty: it is
};

}  // namespace holdfast::rpc
