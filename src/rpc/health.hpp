#pragma once

// grpc.health.v1 on the same queues as everything else. (gRPC's own health service brings a thread
// that polls all connections beside the queues' threads; measured here, that cost a third of the
// daemon's CPU time per call.)
//
// Check is a unary call like any other. A Watch:
//
//   armed    RequestWatch() is out, tag `arrived`
//   idle     the client has the present status      -> writing, when it changes
//   writing  Write() is out, tag `written`          -> idle, or writing again if it has changed since
//   any      tag `done`: the client has gone, or the server stops: nothing is written any more
//   gone     every tag has returned
//
// Tags return on the queue's thread, changes come from any thread: one mutex guards all watches.

#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/call.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace holdfast::rpc {

class Health {
public:
    using Service = ::grpc::health::v1::Health::AsyncService;
    using Request = ::grpc::health::v1::HealthCheckRequest;
    using Response = ::grpc::health::v1::HealthCheckResponse;

    // The services whose status is told; all NOT_SERVING at first.
    explicit Health(const std::vector<std::string>& services);
    ~Health();

    Service& service() { return service_; }

    // From any thread.
    void set_serving(bool serving);

    void check(const std::shared_ptr<UnaryCall<Request, Response>>& call);
    // Keeps one more Watch armed on the queue.
    void arm_watch(grpc::ServerCompletionQueue& queue);
    // No tag is given to any queue from here on.
    void close();

private:
    class Watch;

    Response::ServingStatus status_of(const std::string& service) const;

    Service service_;
    mutable std::mutex mutex_;
    std::map<std::string, Response::ServingStatus> statuses_;
    std::set<std::shared_ptr<Watch>> watches_;  // open ones
    bool closed_ = false;
};

}  // namespace holdfast::rpc
