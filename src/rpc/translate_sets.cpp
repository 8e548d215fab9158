// Requests for sets of locks, and what is granted of them.

#include "rpc/translate.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace holdfast::rpc {
namespace {

using core::LeaseSet;
using core::Result;

Result<std::vector<core::LockName>> names_of(pb::AcquireAllRequest& request) {
    const auto count = static_cast<std::size_t>(request.names_size());
    if (count < 1 || count > LeaseSet::kMaxLocks) {
        return core::invalid("names",
                             "names has " + std::to_string(count) + " entries; it has 1 to " +
                                 std::to_string(LeaseSet::kMaxLocks));
    }
    std::vector<core::LockName> names;
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string field = "names[" + std::to_string(i) + "]";
        auto name = core::LockName::parse(std::move(*request.mutable_names(static_cast<int>(i))));
        if (!name) {
            return core::invalid(field, field + ": " + name.error().message);
        }
        const auto [first, is_new] = places.emplace(name->text(), i);
        if (!is_new) {
            return core::invalid(field,
                                 field + " is \"" + name->text() + "\", as names[" +
                                     std::to_string(first->second) +
                                     "] is already; give each name once");
        }
        names.push_back(*std::move(name));
    }
    return names;
}

// What is wanted of each lock, but for its name and the request_id.
pb::AcquireRequest each_of(pb::AcquireAllRequest& request) {
    pb::AcquireRequest each;
    each.set_mode(request.mode());
    each.set_ttl_ms(request.ttl_ms());
    each.set_wait_ms(request.wait_ms());
    each.set_max_hold_ms(request.max_hold_ms());
    each.set_owner(std::move(*request.mutable_owner()));
    each.set_metadata(std::move(*request.mutable_metadata()));
    each.set_durability(request.durability());
    each.set_replicas(request.replicas());
    each.set_lock_delay_ms(request.lock_delay_ms());
    each.set_priority(request.priority());
    return each;
}

Result<std::optional<core::RequestId>> request_id_of(const pb::AcquireAllRequest& request) {
    if (request.request_id().empty()) {
        return std::nullopt;
    }
    return core::RequestId::parse(request.request_id()).map([](core::RequestId id) {
        return std::optional{std::move(id)};
    });
}

}  // namespace

Result<core::SetRequest> parse(pb::AcquireAllRequest& request, const core::Limits& limits) {
    if (request.mode() == pb::MODE_PERMIT) {
        return core::invalid("mode",
                             "mode is MODE_PERMIT; AcquireAll takes locks as MODE_EXCLUSIVE (1) or "
                             "MODE_SHARED (2); take permits by Acquire");
    }
    auto names = names_of(request);
    if (!names) {
        return tl::unexpected(std::move(names).error());
    }
    auto request_id = request_id_of(request);
    if (!request_id) {
        return tl::unexpected(std::move(request_id).error());
    }
    pb::AcquireRequest each = each_of(request);
    each.set_name(names->front().text());
    return parse(each, limits).map([&](core::AcquireRequest checked) {
        return core::SetRequest{*std::move(names), *std::move(request_id), std::move(checked)};
    });
}

bool fill(pb::AcquireAllResponse& response,
          const std::vector<core::LockName>& order,
          const core::SetGrant& grant,
          core::Instant received_at,
          core::Instant now) {
    const std::string lease_id = core::encode_lease_id(grant.set);
    response.set_lease_id(lease_id);
    for (const core::LockName& name : order) {
        const auto lease = std::find_if(grant.set.leases.begin(),
                                        grant.set.leases.end(),
                                        [&](const auto& one) { return one.name == name; });
        pb::Lease& entry = *response.add_leases();
        if (!fill(entry, core::Grant{*lease, {}, grant.ttl, grant.sent_at}, received_at, now)) {
            return false;
        }
        entry.set_lease_id(lease_id);
    }
    return true;
}

bool fill(pb::Lease& lease,
          const core::SetGrant& grant,
          core::Instant received_at,
          core::Instant now) {
    const core::Grant first{grant.set.leases.front(), {}, grant.ttl, grant.sent_at};
    if (!fill(lease, first, received_at, now)) {
        return false;
    }
    lease.set_lease_id(core::encode_lease_id(grant.set));
    lease.clear_name();
    lease.clear_fencing_token();
    return true;
}

}  // namespace holdfast::rpc
