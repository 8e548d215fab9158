#pragma once

// LockStore on a Redis Cluster: each call goes to the primary that serves its lock's slot, as a call of that
// primary's own RedisLockStore, for its clock, and since when it grants, are its own. Where a call goes when
// the slot is elsewhere: routed_call.hpp.
//
// What all primaries share is the floor: a lock's token goes on above every token seen anywhere.
//
// Renewals go to all primaries at once, one script for each slot; the answer to all comes with the last. Of
// what one primary does not answer, nothing is known for now (`recovering`); others' leases are as they say.
//
// A list goes from node to node. If a slot has changed its owner by its end, it begins anew, as what was
// moved may have been missed, and locks may come twice. A lock is still missed if its slot is on the way, from
// a node that has not been asked to one that has, and arrives after the end.

#include "core/timers.hpp"
#include "store/cluster_home.hpp"

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::store {

class ClusterLockStore final : public core::LockStore {
public:
    ClusterLockStore(redis::Cluster& cluster,
                     const core::Clock& clock,
                     core::TimerQueue& timers,
                     std::string prefix);

    // The store of this node; it is taken out before it goes.
    void add(ClusterHome& home) { homes_[&home.node()] = &home; }
    void remove(ClusterHome& home) { homes_.erase(&home.node()); }

    void acquire(const core::AcquireCommand& command,
                 core::StoreDone<core::AcquireAnswer> done) override;
    void release(const core::Lease& lease,
                 const std::optional<core::Want>& next,
                 core::Milliseconds timeout,
                 core::StoreDone<core::ReleaseAnswer> done) override;
    void downgrade(const core::Lease& lease,
                   core::Ttl ttl,
                   core::Milliseconds timeout,
                   core::StoreDone<core::RenewAnswer> done) override;
    void adopt(const core::Lease& lease,
               core::Ttl ttl,
               std::string_view from,
               core::Milliseconds timeout,
               core::StoreDone<core::RenewAnswer> done) override;
    void leave(const core::LockName& name,
               core::Milliseconds timeout,
               core::StoreDone<std::monostate> done) override;
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override;
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;
    void revoke(const core::RevokeCommand& command,
                core::Milliseconds timeout,
                core::StoreDone<std::vector<core::HolderState>> done) override;
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override;
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override;

private:
    template <class Answer>
    friend class RoutedCall;

    redis::Slot slot_of(const core::LockName& name) const {
        return redis::slot_of(prefix_ + name.text());
    }
    template <class Answer, class Send>
    void route(const core::LockName& name,
               core::Milliseconds timeout,
               Send send,
               core::StoreDone<Answer> done);
    ClusterHome* home_of(redis::Cluster::Node& node);
    // Calls it in a moment.
    void park(absl::AnyInvocable<void()> again);
    void wake();
    std::vector<ClusterHome*> homes_in_order() const;
    void inspect_all(const std::vector<std::string>& names,
                     std::string next,
                     core::Milliseconds timeout,
                     core::StoreDone<core::LockPage> done);

    redis::Cluster& cluster_;
    const core::Clock& clock_;
    const std::string prefix_;
    absl::flat_hash_map<const redis::Cluster::Node*, ClusterHome*> homes_;
    core::FencingToken floor_;
    std::vector<absl::AnyInvocable<void()>> parked_;
    core::Timer waking_;
};

}  // namespace holdfast::store
