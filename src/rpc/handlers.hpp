#pragma once

// The RPCs that are served: parse, call the domain, map the answer. Each runs on a queue's thread,
// hands over to the shard that owns the lock, and is finished from there.

#include "core/shards.hpp"
#include "holdfast/v1/lock_service.pb.h"
#include "rpc/call.hpp"
#include "rpc/hold.hpp"
#include "rpc/session.hpp"
#include "rpc/watch.hpp"

#include <mutex>
#include <vector>

namespace holdfast::rpc {

class Handlers {
public:
    // What is handed over outlives every call.
    Handlers(const core::Clock& clock,
             const core::Limits& limits,
             core::Shards& shards,
             const Streams& streams)
        : clock_(clock), limits_(limits), shards_(shards), streams_(streams) {}

    template <class Request, class Response>
    using Call = std::shared_ptr<UnaryCall<Request, Response>>;

    void acquire(Call<v1::AcquireRequest, v1::AcquireResponse> call);
    void acquire_all(Call<v1::AcquireAllRequest, v1::AcquireAllResponse> call);
    void release(Call<v1::ReleaseRequest, v1::ReleaseResponse> call);
    void renew(Call<v1::RenewRequest, v1::RenewResponse> call);
    void convert(Call<v1::ConvertRequest, v1::ConvertResponse> call);
    void get_lock(Call<v1::GetLockRequest, v1::GetLockResponse> call);
    void list_locks(Call<v1::ListLocksRequest, v1::ListLocksResponse> call);
    void hold(std::shared_ptr<HoldCall> call);
    void session(std::shared_ptr<SessionCall> call);
    void watch(std::shared_ptr<WatchCall> call);
    // Ends the streams that nothing else ends, once the shards have drained.
    void drain();
    void validate(Call<v1::ValidateRequest, v1::ValidateResponse> call);

private:
    template <class Stream>
    void remember(std::vector<std::weak_ptr<Stream>>& streams,
                  const std::shared_ptr<Stream>& stream);
    void release_set(const Call<v1::ReleaseRequest, v1::ReleaseResponse>& call, core::LeaseSet set);
    void renew_set(const Call<v1::RenewRequest, v1::RenewResponse>& call,
                   core::LeaseSet set,
                   core::Ttl ttl);

    const core::Clock& clock_;
    const core::Limits& limits_;
    core::Shards& shards_;
    const Streams& streams_;
    std::mutex mutex_;
    // Open ones, and some that are gone.
    std::vector<std::weak_ptr<Session>> sessions_;
    std::vector<std::weak_ptr<Watch>> watches_;
    bool draining_ = false;
};

}  // namespace holdfast::rpc
