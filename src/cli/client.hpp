#pragma once

// The daemon as the verbs see it: one blocking call each.

#include "cli/boot_clock.hpp"
#include "cli/failure.hpp"
#include "holdfast/v1/lock_service.grpc.pb.h"

#include <chrono>
#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace holdfast::cli {

template <class T>
using Outcome = tl::expected<T, Failure>;

// A lease, and until when it may be believed, counted as the proto says: from before the send.
struct Held {
    v1::Lease lease;
    BootTime believe_until{};

    std::chrono::milliseconds safe_for() const;  // from now on; 0 at the least
};

class Client {
public:
    Client(std::string server, std::chrono::milliseconds timeout);

    // Tries again after UNAVAILABLE until the timeout, if there is a request_id, which makes it
    // safe.
    Outcome<Held> acquire(const v1::AcquireRequest& request);
    Outcome<v1::ReleaseResponse> release(const std::string& lease_id);
    Outcome<Held> renew(const std::string& lease_id, std::chrono::milliseconds ttl);
    Outcome<v1::LockState> get_lock(const std::string& name);
    Outcome<v1::ListLocksResponse> list_locks(const std::string& prefix, const std::string& from);
    // True if it is SERVING.
    Outcome<bool> serving(const std::string& service);

private:
    void prepare(grpc::ClientContext& context) const;

    std::string server_;
    std::chrono::system_clock::time_point deadline_;
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<v1::LockService::Stub> locks_;
};

}  // namespace holdfast::cli
