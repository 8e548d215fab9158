#pragma once

// Between the proto and the domain: pure functions, in both directions. What a request may hold is
// checked here once, by the domain's own checks; the error names the field and its bound.

#include "core/limits.hpp"
#include "core/lock_manager.hpp"
#include "holdfast/v1/lock_service.pb.h"

namespace holdfast::rpc {

namespace pb = ::holdfast::v1;

// Without the times of the call. Takes the request's strings.
core::Result<core::AcquireRequest> parse(pb::AcquireRequest& request, const core::Limits& limits);

struct ListRequest {
    std::string prefix;
    std::string from;
    std::size_t limit = 0;
};
core::Result<ListRequest> parse(const pb::ListLocksRequest& request);

// False if the grant's deadline has passed by `now`: then it must not be given out.
bool fill(pb::Lease& lease, const core::Grant& grant, core::Instant received_at, core::Instant now);

void fill(pb::ReleaseResponse& response, const core::Released& released);
void fill(pb::LockState& lock, const core::LockState& state);

}  // namespace holdfast::rpc
