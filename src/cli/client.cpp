#include "cli/client.hpp"

#include "grpc/health/v1/health.grpc.pb.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryAfter{200};

BootTime believe_until(const v1::Lease& lease, BootTime sent_at) {
    return sent_at + milliseconds{lease.elapsed_ms() + lease.safe_for_ms()};
}

Held held_from(const v1::Lease& lease, BootTime sent_at) {
    return {lease, sent_at, believe_until(lease, sent_at)};
}

}  // namespace

milliseconds Held::safe_for() const {
    return std::max(milliseconds{0}, std::chrono::floor<milliseconds>(believe_until - boot_now()));
}

Client::Client(std::string server, milliseconds timeout)
    : server_(std::move(server)),
      deadline_(std::chrono::system_clock::now() + timeout),
      channel_(grpc::CreateChannel(server_, grpc::InsecureChannelCredentials())),
      locks_(v1::LockService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)) {}

template <class Stub, class Request, class Response>
Outcome<Response> Client::call(Stub& stub,
                               Rpc<Stub, Request, Response> rpc,
                               const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    Response response;
    sent_at_ = boot_now();
    const grpc::Status status = (stub.*rpc)(&context, request, &response);
    if (!status.ok()) {
        return tl::unexpected(failure_of(status, server_));
    }
    return response;
}

template <class Stub, class Request, class Response>
Outcome<Response> Client::call_again(Stub& stub,
                                     Rpc<Stub, Request, Response> rpc,
                                     const Request& request) {
    for (;;) {
        auto response = call(stub, rpc, request);
        const bool again = !response && response.error().retry && !request.request_id().empty() &&
                           request.wait_ms() > 0 &&
                           std::chrono::system_clock::now() + kRetryAfter < deadline_;
        if (!again) {
            return response;
        }
        std::this_thread::sleep_for(kRetryAfter);
    }
}

Outcome<Held> Client::acquire(const v1::AcquireRequest& request) {
    return call_again(*locks_, &v1::LockService::Stub::Acquire, request)
        .map([this](const v1::AcquireResponse& response) {
            return held_from(response.lease(), sent_at_);
        });
}

Outcome<HeldAll> Client::acquire_all(const v1::AcquireAllRequest& request) {
    return call_again(*locks_, &v1::LockService::Stub::AcquireAll, request)
        .map([this](const v1::AcquireAllResponse& response) {
            HeldAll held{response, response.leases().empty() ? BootTime{} : BootTime::max()};
            for (const v1::Lease& lease : response.leases()) {
                held.believe_until = std::min(held.believe_until, believe_until(lease, sent_at_));
            }
            return held;
        });
}

Outcome<v1::ReleaseResponse> Client::release(const std::string& lease_id) {
    v1::ReleaseRequest request;
    request.set_lease_id(lease_id);
    return call(*locks_, &v1::LockService::Stub::Release, request);
}

Outcome<Held> Client::renew(const std::string& lease_id, milliseconds ttl) {
    v1::RenewRequest request;
    request.set_lease_id(lease_id);
    request.set_ttl_ms(static_cast<std::uint64_t>(ttl.count()));
    return call(*locks_, &v1::LockService::Stub::Renew, request)
        .map([this](const v1::RenewResponse& response) {
            return held_from(response.lease(), sent_at_);
        });
}

Outcome<v1::LockState> Client::get_lock(const std::string& name) {
    v1::GetLockRequest request;
    request.set_name(name);
    return call(*locks_, &v1::LockService::Stub::GetLock, request)
        .map([](const v1::GetLockResponse& response) { return response.lock(); });
}

Outcome<v1::ListLocksResponse> Client::list_locks(const std::string& prefix,
                                                  const std::string& from) {
    v1::ListLocksRequest request;
    request.set_prefix(prefix);
    request.set_page_token(from);
    return call(*locks_, &v1::LockService::Stub::ListLocks, request);
}

Outcome<bool> Client::serving(const std::string& service) {
    namespace health = ::grpc::health::v1;
    health::HealthCheckRequest request;
    request.set_service(service);
    const auto stub = health::Health::NewStub(channel_);
    return call(*stub, &health::Health::Stub::Check, request)
        .map([](const health::HealthCheckResponse& response) {
            return response.status() == health::HealthCheckResponse::SERVING;
        });
}

Outcome<v1::ForceReleaseResponse> Client::force_release(const v1::ForceReleaseRequest& request) {
    return call(*admin_, &v1::AdminService::Stub::ForceRelease, request);
}

Outcome<v1::RevokeResponse> Client::revoke(const v1::RevokeRequest& request) {
    return call(*admin_, &v1::AdminService::Stub::Revoke, request);
}

Outcome<v1::ExplainResponse> Client::explain(const std::string& name) {
    v1::ExplainRequest request;
    request.set_name(name);
    return call(*admin_, &v1::AdminService::Stub::Explain, request);
}

Outcome<v1::ListSessionsResponse> Client::list_sessions(bool all_daemons) {
    v1::ListSessionsRequest request;
    request.set_all_daemons(all_daemons);
    return call(*admin_, &v1::AdminService::Stub::ListSessions, request);
}

Outcome<v1::DrainResponse> Client::drain(milliseconds deadline) {
    v1::DrainRequest request;
    request.set_deadline_ms(static_cast<std::uint64_t>(deadline.count()));
    return call(*admin_, &v1::AdminService::Stub::Drain, request);
}

Outcome<v1::GetStatusResponse> Client::status() {
    return call(*admin_, &v1::AdminService::Stub::GetStatus, v1::GetStatusRequest{});
}

}  // namespace holdfast::cli
