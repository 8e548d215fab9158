#include "rpc/translate.hpp"

#include <absl/hash/hash.h>

#include <algorithm>
#include <utility>

namespace holdfast::rpc {
namespace {

using core::Failed;
using core::Result;

Failed unknown_enum(const char* field, int value, const char* known) {
    return core::invalid(field,
                         std::string{field} + " is " + std::to_string(value) +
                             ", which this daemon does not know; known are " + known);
}

Result<core::Access> access_of(const pb::AcquireRequest& request) {
    core::Mode mode = core::Mode::exclusive;
    switch (request.mode()) {
        case pb::MODE_UNSPECIFIED:
        case pb::MODE_EXCLUSIVE:
            break;
        case pb::MODE_SHARED:
            mode = core::Mode::shared;
            break;
        case pb::MODE_PERMIT:
            mode = core::Mode::permit;
            break;
        default:
            return unknown_enum(
                "mode", request.mode(), "MODE_EXCLUSIVE (1), MODE_SHARED (2) and MODE_PERMIT (3)");
    }
    return core::Limits::check_access(mode, request.permits(), request.limit());
}

Result<std::uint8_t> replicas_of(const pb::AcquireRequest& request, const core::Limits& limits) {
    if (!pb::Durability_IsValid(request.durability())) {
        return unknown_enum("durability",
                            request.durability(),
                            "DURABILITY_LEADER (1) and DURABILITY_REPLICATED (2)");
    }
    return limits.check_replicas(request.durability() == pb::DURABILITY_REPLICATED,
                                 request.replicas());
}

// These are about a stream.
Result<bool> check_unary(const pb::AcquireRequest& request) {
    const std::pair<bool, const char*> of_streams[] = {
        {request.on_disconnect() != 0, "on_disconnect"},
        {request.grace_ms() != 0, "grace_ms"},
        {!request.resume_lease_id().empty(), "resume_lease_id"},
        {request.reentrant(), "reentrant"},
    };
    for (const auto& [used, field] : of_streams) {
        if (used) {
            return core::invalid(field,
                                 std::string{field} +
                                     " is for Hold and Session, whose leases hang on a stream; "
                                     "leave it out, or use one of those");
        }
    }
    return true;
}

Result<core::AcquireRequest> parse_acquire(pb::AcquireRequest& request,
                                           const core::Limits& limits) {
    auto name = core::LockName::parse(std::move(*request.mutable_name()));
    if (!name) {
        return tl::unexpected(name.error());
    }
    const auto access = access_of(request);
    if (!access) {
        return tl::unexpected(access.error());
    }
    core::AcquireRequest parsed{.name = *std::move(name)};
    parsed.access = *access;
    if (!request.request_id().empty()) {
        const auto id = core::RequestId::parse(request.request_id());
        if (!id) {
            return tl::unexpected(id.error());
        }
        parsed.holder = id->holder_for(parsed.name);
    }
    // Each check's value goes into the request; the first error ends it.
    const auto take = [](auto checked, auto& into) -> Result<bool> {
        return std::move(checked).map([&](auto value) { return into = std::move(value), true; });
    };
    const Result<bool> taken =
        take(limits.check_ttl(request.ttl_ms()), parsed.ttl)
            .and_then([&](bool) { return take(limits.check_wait(request.wait_ms()), parsed.wait); })
            .and_then([&](bool) {
                return take(limits.check_max_hold(request.max_hold_ms(), parsed.ttl),
                            parsed.max_hold);
            })
            .and_then([&](bool) { return take(replicas_of(request, limits), parsed.replicas); })
            .and_then([&](bool) {
                return take(core::Limits::check_lock_delay(request.lock_delay_ms()),
                            parsed.lock_delay);
            })
            .and_then([&](bool) {
                return take(core::Limits::check_priority(request.priority()), parsed.priority);
            })
            .and_then([&](bool) {
                return take(core::Limits::check_owner(std::move(*request.mutable_owner())),
                            parsed.owner);
            })
            .and_then([&](bool) {
                return take(core::Limits::check_metadata(std::move(*request.mutable_metadata())),
                            parsed.metadata);
            });
    if (!taken) {
        return tl::unexpected(taken.error());
    }
    return parsed;
}

template <class Request>
Result<Disconnect> disconnect_of(const Request& request) {
    if (!pb::OnDisconnect_IsValid(request.on_disconnect())) {
        return unknown_enum("on_disconnect",
                            request.on_disconnect(),
                            "ON_DISCONNECT_KEEP_TTL (1), ON_DISCONNECT_GRACE (2) and "
                            "ON_DISCONNECT_RELEASE_NOW (3)");
    }
    return core::Limits::check_grace(request.grace_ms(),
                                     request.on_disconnect() == pb::ON_DISCONNECT_GRACE)
        .map([&](core::Milliseconds grace) {
            return Disconnect{request.on_disconnect() == pb::ON_DISCONNECT_RELEASE_NOW, grace};
        });
}

// The lease to take over, if that is asked for; then the request need not have a name.
Result<std::optional<core::Lease>> resume_of(pb::AcquireRequest& request) {
    if (request.resume_lease_id().empty()) {
        return std::nullopt;
    }
    auto lease = core::decode_lease_id(request.resume_lease_id());
    if (!lease) {
        core::Error error = lease.error();
        error.field = "resume_lease_id";
        return tl::unexpected(std::move(error));
    }
    if (request.name().empty()) {
        request.set_name(lease->name.text());
    } else if (request.name() != lease->name.text()) {
        return core::invalid("name", "name is not that of resume_lease_id; leave it out");
    }
    return *std::move(lease);
}

}  // namespace

pb::Mode mode_of(core::Mode mode) {
    switch (mode) {
        case core::Mode::exclusive:
            return pb::MODE_EXCLUSIVE;
        case core::Mode::shared:
            return pb::MODE_SHARED;
        case core::Mode::permit:
            return pb::MODE_PERMIT;
    }
    return pb::MODE_UNSPECIFIED;
}

Result<core::AcquireRequest> parse(pb::AcquireRequest& request, const core::Limits& limits) {
    return check_unary(request).and_then([&](bool) { return parse_acquire(request, limits); });
}

Result<HoldRequest> parse_resume(const pb::Resume& request, const core::Limits& limits) {
    pb::AcquireRequest hold;
    hold.set_resume_lease_id(request.lease_id());
    hold.set_ttl_ms(request.ttl_ms());
    hold.set_on_disconnect(request.on_disconnect());
    hold.set_grace_ms(request.grace_ms());
    if (request.lease_id().empty()) {
        return core::invalid("lease_id", "lease_id is empty; give the one of the lease to resume");
    }
    return parse_hold(hold, limits).map_error([](core::Error error) {
        error.field = error.field == "resume_lease_id" ? "lease_id" : error.field;
        return error;
    });
}

Result<HoldRequest> parse_hold(pb::AcquireRequest& request, const core::Limits& limits) {
    auto resume = resume_of(request);
    if (!resume) {
        return tl::unexpected(std::move(resume).error());
    }
    const auto on_disconnect = disconnect_of(request);
    if (!on_disconnect) {
        return tl::unexpected(on_disconnect.error());
    }
    return parse_acquire(request, limits).map([&](core::AcquireRequest acquire) {
        return HoldRequest{
            std::move(acquire), *std::move(resume), *on_disconnect, request.reentrant()};
    });
}

Result<core::LockManager::ConvertRequest> parse(const pb::ConvertRequest& request,
                                                const core::Limits& limits) {
    auto lease = core::decode_lease_id(request.lease_id());
    if (!lease) {
        return tl::unexpected(lease.error());
    }
    const auto wait = limits.check_wait(request.wait_ms());
    if (!wait) {
        return tl::unexpected(wait.error());
    }
    const bool shared = request.mode() == pb::MODE_SHARED;
    if (!shared && request.mode() != pb::MODE_EXCLUSIVE) {
        return core::invalid("mode",
                             "mode is " + std::to_string(request.mode()) +
                                 "; a lease is converted to MODE_EXCLUSIVE (1) or MODE_SHARED (2)");
    }
    return core::LockManager::ConvertRequest{
        *std::move(lease), shared ? core::Mode::shared : core::Mode::exclusive, *wait, {}};
}

std::uint64_t anchor_number(core::Instant anchor) {
    constexpr int kBitsToSpare = 64 - 53;
    return absl::HashOf(anchor.time_since_epoch().count()) >> kBitsToSpare;
}

bool fill(pb::Lease& lease,
          const core::Grant& grant,
          core::Instant received_at,
          core::Instant now) {
    const core::Milliseconds safe_for = core::remaining(now, grant.deadline());
    if (safe_for.count() == 0) {
        return false;
    }
    lease.set_lease_id(core::encode_lease_id(grant.lease));
    lease.set_name(grant.lease.name.text());
    lease.set_mode(mode_of(grant.lease.access.mode));
    lease.set_fencing_token(grant.lease.token.value);
    lease.set_ttl_ms(ms(grant.ttl.value));
    lease.set_elapsed_ms(ms(core::remaining(received_at, now)));
    lease.set_safe_for_ms(ms(safe_for));
    lease.set_next_renew_in_ms(ms(core::remaining(now, grant.sent_at + grant.ttl.value / 3)));
    lease.set_durability(grant.lease.replicas > 0 ? pb::DURABILITY_REPLICATED
                                                  : pb::DURABILITY_LEADER);
    lease.set_replicas(grant.lease.replicas);
    lease.set_anchor(anchor_number(received_at));
    return true;
}

void fill(pb::ReleaseResponse& response, const core::Released& released) {
    switch (released.verdict) {
        case core::Verdict::held_throughout:
            response.set_verdict(pb::VERDICT_HELD_THROUGHOUT);
            break;
        case core::Verdict::already_expired:
            response.set_verdict(pb::VERDICT_ALREADY_EXPIRED);
            break;
        case core::Verdict::superseded:
            response.set_verdict(pb::VERDICT_SUPERSEDED);
            response.set_newer_token(released.newer.value);
            break;
    }
}

void fill(pb::Holder& holder, const core::HolderSummary& summary) {
    holder.set_owner(summary.owner);
    holder.set_fencing_token(summary.token.value);
    holder.set_expires_in_ms(ms(summary.expires_in));
}

void fill(pb::Holder& holder, const core::HolderState& state) {
    fill(holder, state.summary);
    holder.set_metadata(state.metadata);
    holder.set_held_for_ms(ms(state.held_for));
}

void fill(pb::LockState& lock, const core::LockState& state) {
    lock.set_name(state.name.text());
    lock.set_mode(mode_of(state.mode));
    lock.set_newest_token(state.newest.value);
    lock.set_limit(state.mode == core::Mode::permit ? state.limit : 0);
    lock.set_waiting(state.waiting);
    for (const core::HolderState& one : state.holders) {
        pb::Holder& holder = *lock.add_holders();
        fill(holder, one);
        holder.set_permits(state.mode == core::Mode::permit ? one.permits : 0);
    }
}

}  // namespace holdfast::rpc
