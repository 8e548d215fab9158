#include "rpc/admin_handlers.hpp"

#include "rpc/translate.hpp"

#include <mutex>
#include <utility>

namespace holdfast::rpc {

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

}  // namespace holdfast::rpc
