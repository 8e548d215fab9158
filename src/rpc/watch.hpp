#pragma once

// One Watch: a snapshot of what is held, then changes, for as long as the client listens. What is told
// and when is core/watchers.hpp's; here it becomes events, and a client that reads too slowly is noticed:
// while kFull events wait for it, it is told nothing, and hears later that it has missed something.
//
// On the shard of the lock, or on the first one for a prefix; but start() and the stream's callbacks.

#include "core/shards.hpp"
#include "holdfast/v1/lock_service.pb.h"
#include "rpc/stream.hpp"

#include <atomic>

namespace holdfast::rpc {

namespace v1 = ::holdfast::v1;

using WatchCall =
    StreamCall<v1::WatchRequest, v1::WatchEvent, grpc::ServerAsyncWriter<v1::WatchEvent>>;

class Watch final : public core::WatchListener, public std::enable_shared_from_this<Watch> {
public:
    Watch(std::shared_ptr<WatchCall> call, core::WatchScope scope, core::Shards& shards);

    void start();
    // The stream ends with DRAINING. From any thread.
    void drain();

    bool has_room() override;
    void snapshot(const core::LockState& lock) override;
    void snapshot_end() override;
    void changed(const core::LockState& lock) override;
    void missed() override;

private:
    static constexpr std::size_t kFull = 512;  // below WatchCall::kMaxWaiting

    const std::shared_ptr<WatchCall> call_;
    const core::WatchScope scope_;
    core::Shards& shards_;
    const std::size_t shard_;
    std::optional<core::Watchers::Id> id_;
    bool over_ = false;
    std::atomic<bool> wants_room_{false};
};

}  // namespace holdfast::rpc
