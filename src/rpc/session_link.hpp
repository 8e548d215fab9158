#pragma once

// What the shards' parts of one session share: the way out, the operations that are under way, and how
// many leases there are. See session.hpp.

#include "core/limits.hpp"
#include "holdfast/v1/lock_service.pb.h"
#include "rpc/stream.hpp"
#include "rpc/streams.hpp"

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <mutex>
#include <optional>

namespace holdfast::rpc {

namespace v1 = ::holdfast::v1;

// The result of an operation that failed.
v1::OperationResult failed(std::uint64_t id, const core::Error& error);

using SessionCall = StreamCall<v1::SessionRequest,
                               v1::SessionEvent,
                               grpc::ServerAsyncReaderWriter<v1::SessionEvent, v1::SessionRequest>>;

// What the parts of one session share. From any thread.
class SessionLink {
public:
    SessionLink(std::shared_ptr<SessionCall> call,
                const core::Limits& limits,
                const Streams& streams)
        : call_(std::move(call)),
          limits_(limits),
          entry_(streams.opened(call_->peer(), call_->received_at())) {}

    // Begins an operation; an error if its id is in use, or too many are under way.
    core::Result<bool> begin(std::uint64_t id, std::size_t shard);
    // The shard of an operation that is under way.
    std::optional<std::size_t> shard_of(std::uint64_t id) const;
    // Its id is free again.
    void end(std::uint64_t id);

    // Makes room for one more lease, or says that there is none.
    core::Result<bool> reserve_lease();
    void lease_over();
    // So many more, or fewer, of these are acquires that wait.
    void count_waiting(int more);
    // The stream is gone.
    void closed();

    std::size_t send(v1::SessionEvent event) { return call_->send(std::move(event)); }

private:
    void count();

    const std::shared_ptr<SessionCall> call_;
    const core::Limits& limits_;
    mutable std::mutex mutex_;
    absl::flat_hash_map<std::uint64_t, std::size_t> operations_;  // their shards
    std::size_t leases_ = 0;
    std::size_t waiting_ = 0;                // of these
    std::unique_ptr<Streams::Entry> entry_;  // while the stream is open
};

}  // namespace holdfast::rpc
