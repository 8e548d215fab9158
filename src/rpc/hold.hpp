#pragma once

// One Hold: a lock that is taken, and renewed for as long as the client's stream lives.
//
//   asking   the acquire, or the resume, is at the shard. `queued` is sent at most once
//            -> held     granted; `granted` is sent
//            -> over     refused: the stream ends with the refusal
//   held     `renewed`, `at_risk`, `recovered`, `revoke_requested` as they happen
//            -> over     `released`, and OK; `lost`, and LEASE_LOST; `moving`, and DRAINING
//   gone     the stream broke or was cancelled, in any of the above:
//            asking      the acquire is cancelled; a resume is let end, and then treated as held
//            held        as streamed_lease.hpp says
//            over        nothing
//
// All of this on the lock's shard, but start() and the stream's own callbacks.

#include "core/shards.hpp"
#include "rpc/stream.hpp"
#include "rpc/streamed_lease.hpp"
#include "rpc/streams.hpp"

namespace holdfast::rpc {

using HoldCall =
    StreamCall<v1::AcquireRequest, v1::LeaseEvent, grpc::ServerAsyncWriter<v1::LeaseEvent>>;

class Hold final : public StreamedLease, public std::enable_shared_from_this<Hold> {
public:
    Hold(std::shared_ptr<HoldCall> call,
         HoldRequest request,
         const core::Clock& clock,
         core::Shards& shards,
         const Streams& streams);

    void start();

    bool listens() const override { return !gone_after_; }

private:
    std::size_t emit(v1::LeaseEvent event, End end) override;
    void begin(core::LockManager& manager);
    void decided(core::LockManager& manager, core::Result<core::Grant> grant);
    void count(std::size_t leases, std::size_t waiting);
    void gone(core::LockManager& manager, std::size_t begun);

    const std::shared_ptr<HoldCall> call_;
    HoldRequest request_;
    const core::LockName name_;
    const core::Instant call_deadline_;
    core::Shards& shards_;
    std::unique_ptr<Streams::Entry> entry_;  // while the stream is open
    core::LockManager::Ticket ticket_ = 0;
    bool over_ = false;
    std::optional<std::size_t> gone_after_;  // so many messages were given to gRPC
};

}  // namespace holdfast::rpc
