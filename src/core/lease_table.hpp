#pragma once

// Every lease that this shard granted or renewed, until the last deadline it told anybody. One heap
// entry per lease, moved in place. Pure bookkeeping: what to do when something is due is
// Watchdog's.
//
// A lease is `watched` while the daemon renews it: until Release, loss, or `watch_until`, which is
// kNever for one that is held over a stream without an end of its own.

#include "core/indexed_heap.hpp"
#include "core/lease_id.hpp"
#include "core/lease_listener.hpp"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace holdfast::core {

struct HeldLease : HeapPlace {
    explicit HeldLease(Lease granted) : lease(std::move(granted)) {}

    Lease lease;
    std::vector<HolderId> calls;  // the acquires that were granted it: several, if they are retries
    Ttl ttl{};
    Instant deadline{};         // the last one told to anybody
    Instant renew_at = kNever;  // kNever: not watched (any more)
    Instant watch_until = kNever;
    std::shared_ptr<LeaseListener> listener;  // empty: nobody is connected
    unsigned failures = 0;       // renewals in a row that brought no answer; above 0 is AT_RISK
    bool renewing = false;       // a renewal is under way
    Instant converted_at{};      // its mode or token is known since
    Instant closes_at = kNever;  // it was revoked: its holder shall give it up by then
    bool revoked = false;        // and is not renewed any more
    bool streamed = false;       // somebody has listened

    bool watched() const { return renew_at != kNever; }
    Instant next_event() const { return renewing ? deadline : std::min(deadline, renew_at); }
};

class LeaseTable {
public:
    // The entry of this lease, made if there was none.
    HeldLease& put(const Lease& lease);
    // nullptr unless this very lease (holder and token) is here.
    HeldLease* find(const Lease& lease);
    HeldLease* find(HolderId holder);
    void remove(HeldLease& held);

    // To be called after a change of deadline, renew_at or renewing.
    void moved(HeldLease& held) { heap_.update(held); }

    // The lease with the earliest event; nullptr if there is none.
    HeldLease* earliest() { return heap_.empty() ? nullptr : &heap_.top(); }
    std::size_t size() const { return leases_.size(); }
    std::vector<HeldLease*> all() const;

private:
    struct Key {
        Instant operator()(const HeldLease& held) const { return held.next_event(); }
    };
    absl::flat_hash_map<HolderId, std::unique_ptr<HeldLease>> leases_;
    IndexedHeap<HeldLease, Key> heap_;
};

}  // namespace holdfast::core
