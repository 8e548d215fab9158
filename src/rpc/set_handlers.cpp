// The part of Handlers that is about sets of locks.

#include "rpc/handlers.hpp"
#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <utility>

namespace holdfast::rpc {

using core::Result;

void Handlers::acquire_all(Call<v1::AcquireAllRequest, v1::AcquireAllResponse> call) {
    auto request = parse(call->request(), limits_);
    if (!request) {
        call->finish(to_status(request.error()));
        return;
    }
    request->each.received_at = call->received_at();
    request->each.call_deadline = call->deadline();
    const core::Instant call_deadline = request->each.call_deadline;
    const std::vector<core::LockName> order = request->names;
    const auto set = std::make_shared<core::LockSet>(clock_, shards_.poster(), *std::move(request));
    call->on_cancel = [set] { set->cancel(); };
    call->on_settled = [set](bool delivered) {
        if (!delivered) {
            set->abandon();
        }
    };
    set->start([this, call, set, order, call_deadline](Result<core::SetGrant> granted) {
        const core::Instant now = clock_.now();
        const bool in_time = granted && now < call_deadline &&
                             fill(call->response(), order, *granted, call->received_at(), now);
        if (granted && !in_time) {
            set->abandon();
            granted = tl::unexpected(too_late());
        }
        call->finish(granted ? grpc::Status::OK : to_status(granted.error()));
    });
}

void Handlers::release_set(const Call<v1::ReleaseRequest, v1::ReleaseResponse>& call,
                           core::LeaseSet set) {
    core::release_set(
        shards_.poster(), std::move(set), call->deadline(), [call](Result<core::Released> worst) {
            if (worst) {
                fill(call->response(), *worst);
            }
            call->finish(worst ? grpc::Status::OK : to_status(worst.error()));
        });
}

void Handlers::renew_set(const Call<v1::RenewRequest, v1::RenewResponse>& call,
                         core::LeaseSet set,
                         core::Ttl ttl) {
    core::renew_set(shards_.poster(),
                    std::move(set),
                    ttl,
                    {call->received_at(), call->deadline()},
                    [this, call](Result<core::SetGrant> renewed) {
                        if (renewed && !fill(*call->response().mutable_lease(),
                                             *renewed,
                                             call->received_at(),
                                             clock_.now())) {
                            renewed = tl::unexpected(too_late());
                        }
                        call->finish(renewed ? grpc::Status::OK : to_status(renewed.error()));
                    });
}

}  // namespace holdfast::rpc
