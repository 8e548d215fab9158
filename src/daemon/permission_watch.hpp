#pragma once

// A Redis that answers, but not to all that is needed, is not ready. Looked at when a connection comes up, and
// each second until it is mended.

#include "daemon/readiness.hpp"
#include "store/permissions.hpp"

#include <string>
#include <vector>

namespace holdfast::daemon {

class PermissionWatch {
public:
    PermissionWatch(redis::Client& client,
                    const store::Canary& canary,
                    const std::string& prefix,
                    core::Milliseconds timeout,
                    const std::vector<std::string>& plain_prefixes = {})
        : permissions_(client, canary, prefix, plain_prefixes), timeout_(timeout) {}

    // It may be another Redis, or another user, now.
    void look_again() { again_ = true; }

    // What the probe has found, with what is missing.
    Condition judge(Condition found);

private:
    store::Permissions permissions_;
    const core::Milliseconds timeout_;
    bool again_ = true;
};

}  // namespace holdfast::daemon
