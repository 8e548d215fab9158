#include "core/lease_table.hpp"

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
    return *slot;
}

HeldLease* LeaseTable::find(const Lease& lease) {
    const auto found = leases_.find(lease.holder);
    if (found == leases_.end() || found->second->lease.token != lease.token) {
        return nullptr;
    }
    return found->second.get();
}

void LeaseTable::remove(HeldLease& held) {
    heap_.remove(held);
    const HolderId holder = held.lease.holder;  // erase destroys `held`
    leases_.erase(holder);
}

}  // namespace holdfast::core
