#pragma once

// What core tells the operator about. Called on the shard's thread; must not block.

#include "core/lease_id.hpp"
#include "core/lease_listener.hpp"

#include <cstddef>
#include <string_view>

namespace holdfast::core {

class Observer {
public:
    virtual ~Observer() = default;
    virtual void lease_at_risk(const Lease& lease, std::string_view why) = 0;
    virtual void lease_recovered(const Lease& lease) = 0;
    virtual void lease_lost(const Lease& lease, LossCause cause) = 0;
    // A grant or release whose outcome stayed unknown; it is being cleaned up behind the caller.
    virtual void outcome_unknown(const LockName& name) = 0;
};

}  // namespace holdfast::core
