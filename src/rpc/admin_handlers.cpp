#include "rpc/admin_handlers.hpp"

#include "rpc/gathered.hpp"
#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
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

// As long as drain.timeout may be.
constexpr core::Milliseconds kLongestDrain = std::chrono::hours{1};

// Answers with what the stations said, beside what is in the response already.
template <class Request, class Response>
core::StoreDone<core::PeerAnswers> gathered_into(
    std::shared_ptr<UnaryCall<Request, Response>> call) {
    return [call = std::move(call)](const core::StoreResult<core::PeerAnswers>& gathered) {
        if (!gathered) {
            call->finish(
                to_status({core::Reason::store_unavailable,
                           "the other daemons could not be asked: " + gathered.error().message}));
            return;
        }
        fill(call->response(), *gathered);
        call->finish(grpc::Status::OK);
    };
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
    for (std::string& warning : port_.warnings()) {
        status.add_warnings(std::move(warning));
    }
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

void AdminHandlers::explain(Call<v1::ExplainRequest, v1::ExplainResponse> call) {
    auto name = core::LockName::parse(call->request().name());
    if (!name) {
        call->finish(to_status(name.error()));
        return;
    }
    const std::size_t shard = shards_.shard_of(*name);
    shards_.post_to(shard, [this, call, shard, name = *name](core::LockManager& manager) {
        manager.inspect(name, [this, call, shard, name](auto state) {
            if (!state) {
                call->finish(to_status(state.error()));
                return;
            }
            call->response().mutable_lock()->set_name(name.text());
            if (*state) {
                fill(*call->response().mutable_lock(), **state);
            }
            port_.ask(shard, {core::PeerQuestion::Kind::explain, name.text()}, gathered_into(call));
        });
    });
}

void AdminHandlers::list_sessions(Call<v1::ListSessionsRequest, v1::ListSessionsResponse> call) {
    if (call->request().all_daemons()) {
        shards_.post_to(0, [this, call](core::LockManager&) {
            port_.ask(0, {core::PeerQuestion::Kind::streams, ""}, gathered_into(call));
        });
        return;
    }
    const auto own = streams_.list(clock_.now(), core::PeerAnswer::kMostStreams);
    for (const core::StreamReport& stream : own.streams) {
        fill(*call->response().add_sessions(), stream, port_.daemon);
    }
    call->response().set_cut(own.cut);
    call->finish(grpc::Status::OK);
}

void AdminHandlers::drain(Call<v1::DrainRequest, v1::DrainResponse> call) {
    const std::uint64_t asked = call->request().deadline_ms();
    if (asked > ms(kLongestDrain)) {
        call->finish(
            to_status(core::invalid("deadline_ms",
                                    "deadline_ms is " + std::to_string(asked) +
                                        "; it is at most 3600000 (1 h), or 0 for drain.timeout")
                          .value()));
        return;
    }
    call->finish(grpc::Status::OK);
    port_.drain(asked == 0 ? std::nullopt : std::optional{core::Milliseconds{asked}});
}

}  // namespace holdfast::rpc
