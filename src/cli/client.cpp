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

Held held_from(const v1::Lease& lease, BootTime sent_at) {
    const milliseconds promised{lease.elapsed_ms() + lease.safe_for_ms()};
    return {lease, sent_at + promised};
}

}  // namespace

milliseconds Held::safe_for() const {
    return std::max(milliseconds{0}, std::chrono::floor<milliseconds>(believe_until - boot_now()));
}

Client::Client(std::string server, milliseconds timeout)
    : server_(std::move(server)),
      deadline_(std::chrono::system_clock::now() + timeout),
      channel_(grpc::CreateChannel(server_, grpc::InsecureChannelCredentials())),
      locks_(v1::LockService::NewStub(channel_)) {}

void Client::prepare(grpc::ClientContext& context) const {
    context.set_deadline(deadline_);
}

Outcome<Held> Client::acquire(const v1::AcquireRequest& request) {
    for (;;) {
        grpc::ClientContext context;
        prepare(context);
        v1::AcquireResponse response;
        const BootTime sent_at = boot_now();
        const grpc::Status status = locks_->Acquire(&context, request, &response);
        if (status.ok()) {
            return held_from(response.lease(), sent_at);
        }
        const bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                           !request.request_id().empty() && request.wait_ms() > 0 &&
                           std::chrono::system_clock::now() + kRetryAfter < deadline_;
        if (!again) {
            return tl::unexpected(failure_of(status, server_));
        }
        std::this_thread::sleep_for(kRetryAfter);
    }
}

Outcome<v1::ReleaseResponse> Client::release(const std::string& lease_id) {
    grpc::ClientContext context;
    prepare(context);
    v1::ReleaseRequest request;
    request.set_lease_id(lease_id);
    v1::ReleaseResponse response;
    const grpc::Status status = locks_->Release(&context, request, &response);
    return status.ok() ? Outcome<v1::ReleaseResponse>{response}
                       : tl::unexpected(failure_of(status, server_));
}

Outcome<Held> Client::renew(const std::string& lease_id, milliseconds ttl) {
    grpc::ClientContext context;
    prepare(context);
    v1::RenewRequest request;
    request.set_lease_id(lease_id);
    request.set_ttl_ms(static_cast<std::uint64_t>(ttl.count()));
    v1::RenewResponse response;
    const BootTime sent_at = boot_now();
    const grpc::Status status = locks_->Renew(&context, request, &response);
    return status.ok() ? Outcome<Held>{held_from(response.lease(), sent_at)}
                       : tl::unexpected(failure_of(status, server_));
}

Outcome<v1::LockState> Client::get_lock(const std::string& name) {
    grpc::ClientContext context;
    prepare(context);
    v1::GetLockRequest request;
    request.set_name(name);
    v1::GetLockResponse response;
    const grpc::Status status = locks_->GetLock(&context, request, &response);
    return status.ok() ? Outcome<v1::LockState>{response.lock()}
                       : tl::unexpected(failure_of(status, server_));
}

Outcome<v1::ListLocksResponse> Client::list_locks(const std::string& prefix,
                                                  const std::string& from) {
    grpc::ClientContext context;
    prepare(context);
    v1::ListLocksRequest request;
    request.set_prefix(prefix);
    request.set_page_token(from);
    v1::ListLocksResponse response;
    const grpc::Status status = locks_->ListLocks(&context, request, &response);
    return status.ok() ? Outcome<v1::ListLocksResponse>{response}
                       : tl::unexpected(failure_of(status, server_));
}

Outcome<bool> Client::serving(const std::string& service) {
    namespace health = ::grpc::health::v1;
    grpc::ClientContext context;
    prepare(context);
    health::HealthCheckRequest request;
    request.set_service(service);
    health::HealthCheckResponse response;
    const grpc::Status status =
        health::Health::NewStub(channel_)->Check(&context, request, &response);
    return status.ok() ? Outcome<bool>{response.status() == health::HealthCheckResponse::SERVING}
                       : tl::unexpected(failure_of(status, server_));
}

}  // namespace holdfast::cli
