#pragma once

// One Hold call on a connection of its own, read by a thread of its own. What has come is picked up
// with next() after `wake` was set.

#include "cli/boot_clock.hpp"
#include "cli/wake.hpp"
#include "holdfast/v1/lock_service.grpc.pb.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace holdfast::cli {

namespace v1 = ::holdfast::v1;

class HoldStream {
public:
    // `wake` outlives it.
    HoldStream(const std::string& server, const v1::AcquireRequest& request, const Wake& wake);
    ~HoldStream();  // cancels the call
    HoldStream(const HoldStream&) = delete;
    HoldStream& operator=(const HoldStream&) = delete;

    BootTime sent_at() const { return sent_at_; }
    std::optional<v1::LeaseEvent> next();
    // How the call ended, once all that came before is taken.
    std::optional<grpc::Status> ended();

private:
    void read(const v1::AcquireRequest& request);

    const Wake& wake_;
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<v1::LockService::Stub> stub_;
    grpc::ClientContext context_;
    const BootTime sent_at_;
    std::mutex mutex_;
    std::deque<v1::LeaseEvent> events_;   // under mutex_
    std::optional<grpc::Status> status_;  // under mutex_
    std::thread thread_;                  // last: it uses the others
};

}  // namespace holdfast::cli
