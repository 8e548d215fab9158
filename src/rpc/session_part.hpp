#pragma once

// What one shard knows of a Session: its leases and what is under way. See session.hpp.
//
// Results and events gather while the shard's loop handles what has come, and leave in one message: a
// flush is posted with the first of them.

#include "core/limits.hpp"
#include "core/shards.hpp"
#include "rpc/stream.hpp"
#include "rpc/streamed_lease.hpp"

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace holdfast::rpc {

// The result of an operation that failed.
v1::OperationResult failed(std::uint64_t id, const core::Error& error);

using SessionCall = StreamCall<v1::SessionRequest,
                               v1::SessionEvent,
                               grpc::ServerAsyncReaderWriter<v1::SessionEvent, v1::SessionRequest>>;

// What the parts of one session share. From any thread.
class SessionLink {
public:
    SessionLink(std::shared_ptr<SessionCall> call, const core::Limits& limits)
        : call_(std::move(call)), limits_(limits) {}

    // Begins an operation; an error if its id is in use, or too many are under way.
    core::Result<bool> begin(std::uint64_t id, std::size_t shard);
    // The shard of an operation that is under way.
    std::optional<std::size_t> shard_of(std::uint64_t id) const;
    // Its id is free again.
    void end(std::uint64_t id);

    // Makes room for one more lease, or says that there is none.
    core::Result<bool> reserve_lease();
    void lease_over();

    std::size_t send(v1::SessionEvent event) { return call_->send(std::move(event)); }

private:
    const std::shared_ptr<SessionCall> call_;
    const core::Limits& limits_;
    mutable std::mutex mutex_;
    absl::flat_hash_map<std::uint64_t, std::size_t> operations_;  // their shards
    std::size_t leases_ = 0;
};

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

    void decided(core::LockManager& manager,
                 std::uint64_t id,
                 const std::shared_ptr<Held>& held,
                 bool resumed,
                 core::Result<core::Grant> grant);
    void forget(const Held& held);
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
    std::optional<std::size_t> broke_after_;  // so many messages were given to gRPC
    v1::SessionEvent out_;                    // what leaves at the next flush
    std::vector<std::shared_ptr<Held>> granted_in_out_;
    bool flush_comes_ = false;
};

}  // namespace holdfast::rpc
