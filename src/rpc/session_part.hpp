#pragma once

// What one shard knows of a Session: its leases and what is under way. See session.hpp.
//
// Results and events gather while the shard's loop handles what has come, and leave in one message: a
// flush is posted with the first of them.

#include "core/shards.hpp"
#include "rpc/session_link.hpp"
#include "rpc/streamed_lease.hpp"

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <memory>
#include <optional>
#include <vector>

namespace holdfast::rpc {

class SessionPart : public std::enable_shared_from_this<SessionPart> {
public:
    using Job = absl::AnyInvocable<void(SessionPart&, core::LockManager&)>;

    SessionPart(std::shared_ptr<SessionLink> link,
                const core::Clock& clock,
                core::Shards& shards,
                std::size_t shard,
                core::Instant anchor)
        : link_(std::move(link)), clock_(clock), shards_(shards), shard_(shard), anchor_(anchor) {}

    void acquire(core::LockManager& manager, std::uint64_t id, HoldRequest request);
    void release(core::LockManager& manager, std::uint64_t id, core::Lease lease);
    void renew(core::LockManager& manager, std::uint64_t id, core::Lease lease, core::Ttl ttl);
    // The same two for a set; this is the part of its first lock.
    void release(core::LockManager& manager, std::uint64_t id, core::LeaseSet set);
    void renew(core::LockManager& manager, std::uint64_t id, core::LeaseSet set, core::Ttl ttl);
    void convert(core::LockManager& manager,
                 std::uint64_t id,
                 core::LockManager::ConvertRequest request);
    // Ends operation `which` with CANCELLED, if it is an acquire or a conversion that still waits.
    void cancel(core::LockManager& manager, std::uint64_t id, std::uint64_t which);

    // elapsed_ms counts from here on now. Adds what is held to the pong.
    void ping(core::Instant anchor, v1::Pong& pong);
    core::Instant anchor() const { return anchor_; }

    void stream_broke(core::LockManager& manager, std::size_t begun);

private:
    class Held;

    core::Done<core::Released> released(std::uint64_t id, std::shared_ptr<Held> held);
    template <class Grant>
    core::Done<Grant> renewed(std::uint64_t id);
    void decided(core::LockManager& manager,
                 std::uint64_t id,
                 const std::shared_ptr<Held>& held,
                 bool resumed,
                 core::Result<core::Grant> grant);
    void forget(const Held& held);
    std::shared_ptr<Held> held_by(const core::AcquireRequest& request) const;
    void enter_again(core::LockManager& manager,
                     std::uint64_t id,
                     const std::shared_ptr<Held>& held,
                     core::Ttl ttl);
    bool cancel_waiting(core::LockManager& manager, std::uint64_t which);
    void finish(v1::OperationResult result);
    void finish(std::uint64_t id, const core::Error& error);
    void tell(v1::LeaseEvent event);
    void flush_soon();
    void flush();

    const std::shared_ptr<SessionLink> link_;
    const core::Clock& clock_;
    core::Shards& shards_;
    const std::size_t shard_;
    core::Instant anchor_;
    absl::flat_hash_map<std::uint64_t, core::LockManager::Ticket> acquiring_;   // by operation
    absl::flat_hash_map<std::uint64_t, core::LockManager::Ticket> converting_;  // likewise
    absl::flat_hash_map<core::HolderId, std::shared_ptr<Held>> held_;
    absl::flat_hash_map<std::string, core::HolderId> reentrant_;  // by name; may be gone
    std::optional<std::size_t> broke_after_;  // so many messages were given to gRPC
    v1::SessionEvent out_;                    // what leaves at the next flush
    std::vector<std::shared_ptr<Held>> granted_in_out_;
    bool flush_comes_ = false;
};

}  // namespace holdfast::rpc
