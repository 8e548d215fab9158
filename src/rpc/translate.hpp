#pragma once

// Between the proto and the domain: pure functions, in both directions. What a request may hold is
// checked here once, by the domain's own checks; the error names the field and its bound.

#include "core/limits.hpp"
#include "core/lock_manager.hpp"
#include "core/lock_sets.hpp"
#include "holdfast/v1/admin_service.pb.h"
#include "holdfast/v1/lock_service.pb.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::rpc {

namespace pb = ::holdfast::v1;

inline std::uint64_t ms(core::Milliseconds value) {
    return static_cast<std::uint64_t>(value.count());
}

// Without the times of the call. Takes the request's strings.
core::Result<core::AcquireRequest> parse(pb::AcquireRequest& request, const core::Limits& limits);

core::Result<core::SetRequest> parse(pb::AcquireAllRequest& request, const core::Limits& limits);

// What becomes of a lease whose stream breaks.
struct Disconnect {
    bool release_now = false;
    core::Milliseconds grace{0};  // for so long it is renewed
};

struct HoldRequest {
    core::AcquireRequest acquire;
    std::optional<core::Lease> resume;  // to take over; of `acquire`, ttl and max_hold count then
    Disconnect on_disconnect;
    bool reentrant = false;  // of a session
};
core::Result<HoldRequest> parse_resume(const pb::Resume& request, const core::Limits& limits);
core::Result<HoldRequest> parse_hold(pb::AcquireRequest& request, const core::Limits& limits);

core::Result<core::LockManager::ConvertRequest> parse(const pb::ConvertRequest& request,
                                                      const core::Limits& limits);

core::Result<core::LockManager::RevokeRequest> parse(const pb::RevokeRequest& request);
core::Result<core::LockManager::RevokeRequest> parse(const pb::ForceReleaseRequest& request);

core::Result<core::WatchScope> parse(const pb::WatchRequest& request);

struct ListRequest {
    std::string prefix;
    std::string from;
    std::size_t limit = 0;
};
core::Result<ListRequest> parse(const pb::ListLocksRequest& request);

// Names, without telling anything, the request whose receipt elapsed_ms counts from. Below 2^53.
std::uint64_t anchor_number(core::Instant anchor);

// False if the grant's deadline has passed by `now`: then it must not be given out.
bool fill(pb::Lease& lease, const core::Grant& grant, core::Instant received_at, core::Instant now);

// The same for all locks of a set, in this order.
bool fill(pb::AcquireAllResponse& response,
          const std::vector<core::LockName>& order,
          const core::SetGrant& grant,
          core::Instant received_at,
          core::Instant now);
// The same for a set as a whole: without a name and a token.
bool fill(pb::Lease& lease,
          const core::SetGrant& grant,
          core::Instant received_at,
          core::Instant now);

pb::Mode mode_of(core::Mode mode);
void fill(pb::ReleaseResponse& response, const core::Released& released);
void fill(pb::Holder& holder, const core::HolderSummary& summary);
void fill(pb::Holder& holder, const core::HolderState& state);
void fill(pb::LockState& lock, const core::LockState& state);

}  // namespace holdfast::rpc
