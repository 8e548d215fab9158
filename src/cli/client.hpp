#pragma once

// The daemon as the verbs see it: one blocking call each.

#include "cli/boot_clock.hpp"
#include "cli/failure.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"
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
    BootTime sent_at{};
    BootTime believe_until{};

    std::chrono::milliseconds safe_for() const;  // from now on; 0 at the least
};

// Several locks under one lease, and the earliest of their deadlines.
struct HeldAll {
    v1::AcquireAllResponse response;
    BootTime believe_until{};
};

class Client {
public:
    Client(std::string server, std::chrono::milliseconds timeout);

    // These two try again after UNAVAILABLE until the timeout, if there is a request_id, which makes
    // it safe, and the caller waits anyway.
    Outcome<Held> acquire(const v1::AcquireRequest& request);
    Outcome<HeldAll> acquire_all(const v1::AcquireAllRequest& request);
    Outcome<v1::ReleaseResponse> release(const std::string& lease_id);
    Outcome<Held> renew(const std::string& lease_id, std::chrono::milliseconds ttl);
    Outcome<v1::LockState> get_lock(const std::string& name);
    Outcome<v1::ListLocksResponse> list_locks(const std::string& prefix, const std::string& from);
    // True if it is SERVING.
    Outcome<bool> serving(const std::string& service);

    Outcome<v1::ForceReleaseResponse> force_release(const v1::ForceReleaseRequest& request);
    Outcome<v1::RevokeResponse> revoke(const v1::RevokeRequest& request);
    Outcome<v1::ExplainResponse> explain(const std::string& name);
    Outcome<v1::ListSessionsResponse> list_sessions(bool all_daemons);
    Outcome<v1::DrainResponse> drain(std::chrono::milliseconds deadline);
    Outcome<v1::GetStatusResponse> status();

private:
    template <class Stub, class Request, class Response>
    using Rpc = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

    template <class Stub, class Request, class Response>
    Outcome<Response> call(Stub& stub, Rpc<Stub, Request, Response> rpc, const Request& request);
    template <class Stub, class Request, class Response>
    Outcome<Response> call_again(Stub& stub,
                                 Rpc<Stub, Request, Response> rpc,
                                 const Request& request);

    std::string server_;
    std::chrono::system_clock::time_point deadline_;
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<v1::LockService::Stub> locks_;
    std::unique_ptr<v1::AdminService::Stub> admin_;
    BootTime sent_at_{};  // of the last call
};

}  // namespace holdfast::cli
