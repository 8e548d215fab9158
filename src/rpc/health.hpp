#pragma once

// grpc.health.v1 on the same queues as everything else. (gRPC's own health service brings a thread
// that polls all connections beside the queues' threads; measured here, that cost a third of the
// daemon's CPU time per call.)
//
// Check is a unary call and Watch a stream like any other. Calls come on queues' threads, changes from
// any thread: one mutex guards all watchers.

#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/stream.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::rpc {

class Health {
public:
    using Service = ::grpc::health::v1::Health::AsyncService;
    using Request = ::grpc::health::v1::HealthCheckRequest;
    using Response = ::grpc::health::v1::HealthCheckResponse;
    using WatchCall = StreamCall<Request, Response, grpc::ServerAsyncWriter<Response>>;

    // The services whose status is told; all NOT_SERVING at first.
    explicit Health(const std::vector<std::string>& services);

    Service& service() { return service_; }

    // From any thread.
    void set_serving(bool serving);

    void check(const std::shared_ptr<UnaryCall<Request, Response>>& call);
    void watch(const std::shared_ptr<WatchCall>& call);
    // Ends every Watch, now and from here on.
    void close();

private:
    Response::ServingStatus status_of(const std::string& service) const;
    void tell(WatchCall& call) const;

    Service service_;
    mutable std::mutex mutex_;
    std::map<std::string, Response::ServingStatus> statuses_;
    std::map<WatchCall*, std::shared_ptr<WatchCall>> watchers_;
    bool closed_ = false;
};

}  // namespace holdfast::rpc
