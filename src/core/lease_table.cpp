#include "core/lease_table.hpp"

#include <algorithm>

namespace holdfast::core {

HeldLease& LeaseTable::put(const Lease& lease) {
    auto& slot = leases_[lease.holder];
    if (slot && slot->lease.token != lease.token) {
        // The same request_id was granted anew after its first lease had ended.
        heap_.remove(*slot);
        slot.reset();
    }
    if (!slot) {
        slot = std::make_unique<HeldLease>(lease);
    }
    slot->lease.replicas = std::max(slot->lease.replicas, lease.replicas);
    return *slot;
}

HeldLease* LeaseTable::find(HolderId holder) {
    const auto found = leases_.find(holder);
    return found == leases_.end() ? nullptr : found->second.get();
}

HeldLease* LeaseTable::find(const Lease& lease) {
    HeldLease* held = find(lease.holder);
    return held != nullptr && held->lease.token == lease.token ? held : nullptr;
}

void LeaseTable::remove(HeldLease& held) {
    heap_.remove(held);
    const HolderId holder = held.lease.holder;  // erase destroys `held`
    leases_.erase(holder);
}

std::vector<HeldLease*> LeaseTable::all() const {
    std::vector<HeldLease*> leases;
    leases.reserve(leases_.size());
    for (const auto& [holder, held] : leases_) {
        leases.push_back(held.get());
    }
    return leases;
}

}  // namespace holdfast::core
