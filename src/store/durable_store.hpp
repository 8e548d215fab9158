#pragma once

// A LockStore that believes a grant or a renewal only when enough replicas have acknowledged it.
//
// It passes everything on to the store behind it. What that has granted or renewed, with replicas to be
// waited for (those that are asked for, or `least` if that is more), waits for Replication:
//
//   enough have it           passed on, with the level that was reached
//   too few, or not known    acquire, and what a release hands on: StoreFailure::not_durable, so that it is
//                            asked for again or undone; the release itself stands
//                            renewals: RenewAnswer::not_durable, which extends nothing
//
// The time that the waiting takes is eaten from the lease, whose deadline counts from before the command
// was sent. What needs no replicas is passed on as it is, at no cost; in one call for many renewals, all wait
// for those that need most.
//
// Strict mode: `least` is the majority of all nodes less the primary, majority_replicas(). A new primary grants
// nothing before that many replicas follow it, and a longest lease more (canary.hpp). A majority that has a
// lease and one that follows the new primary share a node, which has left the old one by then. Hence:
//   - the number of nodes is configured, and the same for all daemons, which are all strict
//   - replicas that have left an old primary do not return to it while it still takes itself for one.
//     Sentinel sees to that: it makes the old one a replica, too

#include "store/replication.hpp"

#include <functional>
#include <string>

namespace holdfast::store {

// Of a primary with so many replicas: how many make, with the primary, more than half of all.
constexpr std::size_t majority_replicas(std::size_t replicas) {
    return (replicas + 1) / 2;
}

class DurableStore final : public core::LockStore {
public:
    // `incarnation`: that of the primary that `store` sends to, as far as is known.
    DurableStore(core::LockStore& store,
                 Replication& replication,
                 std::size_t least,
                 std::function<std::string()> incarnation);

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
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;

    void leave(const core::LockName& name,
               core::Milliseconds timeout,
               core::StoreDone<std::monostate> done) override {
        store_.leave(name, timeout, std::move(done));
    }
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override {
        store_.cancel(name, holder, call, timeout, std::move(done));
    }
    void revoke(const core::RevokeCommand& command,
                core::Milliseconds timeout,
                core::StoreDone<std::vector<core::HolderState>> done) override {
        store_.revoke(command, timeout, std::move(done));
    }
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override {
        store_.inspect(name, timeout, std::move(done));
    }
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override {
        store_.list(prefix, from, limit, timeout, std::move(done));
    }

private:
    std::uint8_t level(std::uint8_t asked) const { return asked > least_ ? asked : least_; }
    core::StoreDone<core::RenewAnswer> confirmed_one(const core::Lease& lease,
                                                     core::StoreDone<core::RenewAnswer> done);
    core::StoreError too_few(std::size_t needed, const Replication::Acks& acks) const;

    core::LockStore& store_;
    Replication& replication_;
    std::uint8_t least_;
    std::function<std::string()> incarnation_;
};

}  // namespace holdfast::store
