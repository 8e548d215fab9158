#include "rpc/admin_handlers.hpp"

#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace holdfast::rpc {
namespace {

// Answers with whom it concerns; NOT_FOUND if that is nobody.
template <class Call, class Add>
void take_away(core::Shards& shards,
               const std::shared_ptr<Call>& call,
               core::LockManager::RevokeRequest request,
               Add add) {
    const core::LockName name = request.name;
    shards.post(name,
                [call, add, request = std::move(request)](core::LockManager& manager) mutable {
                    manager.revoke(
                        std::move(request),
                        call->deadline(),
                        [call, add](const core::Result<std::vector<core::HolderState>>& holders) {
                            if (!holders) {
                                call->finish(to_status(holders.error()));
                            } else if (holders->empty()) {
                                call->finish(to_status({core::Reason::not_found,
                                                        "nobody holds this lock, or not with this "
                                                        "fencing_token"}));
                            } else {
                                std::for_each(holders->begin(), holders->end(), add);
                                call->finish(grpc::Status::OK);
                            }
                        });
                });
}

}  // namespace

void AdminHandlers::get_status(Call<v1::GetStatusRequest, v1::GetStatusResponse> call) {
    v1::GetStatusResponse& status = call->response();
    status.set_version(port_.version);
    status.set_daemon(port_.daemon);
    for (std::string& reason : port_.why_not_ready()) {
        status.add_reasons(std::move(reason));
    }
    status.set_ready(status.reasons().empty());
    status.set_uptime_ms(ms(core::remaining(port_.started_at, clock_.now())));
    struct Gathered {
        std::mutex mutex;
        std::size_t missing;
    };
    const auto gathered = std::make_shared<Gathered>();
    gathered->missing = shards_.size();
    for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
        shards_.post_to(shard, [call, gathered](core::LockManager& manager) {
            const core::LockManager::Counts counts = manager.counts();
            const std::lock_guard lock{gathered->mutex};
            v1::GetStatusResponse& response = call->response();
            response.set_leases(response.leases() + counts.leases);
            response.set_waiting(response.waiting() + counts.waiting);
            if (--gathered->missing == 0) {
                call->finish(grpc::Status::OK);
            }
        });
    }
}

void AdminHandlers::revoke(Call<v1::RevokeRequest, v1::RevokeResponse> call) {
    auto request = parse(call->request());
    if (!request) {
        call->finish(to_status(request.error()));
        return;
    }
    take_away(shards_, call, *std::move(request), [call](const core::HolderState& holder) {
        fill(*call->response().add_asked(), holder);
    });
}

void AdminHandlers::force_release(Call<v1::ForceReleaseRequest, v1::ForceReleaseResponse> call) {
    auto request = parse(call->request());
    if (!request) {
        call->finish(to_status(request.error()));
        return;
    }
    const bool at_once = request->how == core::Revocation::at_once;
    take_away(shards_, call, *std::move(request), [call, at_once](const core::HolderState& holder) {
        v1::ForceReleaseResponse& response = call->response();
        fill(*response.add_released(), holder);
        if (!at_once) {
            response.set_free_in_ms(std::max(response.free_in_ms(), ms(holder.summary.expires_in)));
        }
    });
}

}  // namespace holdfast::rpc
