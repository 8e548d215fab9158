#include "rpc/handlers.hpp"

#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast::rpc {
namespace {

using core::LockManager;
using core::Result;

// What an acquire's shard remembers of it. Touched by that shard's thread alone.
struct Acquiring {
    LockManager::Ticket ticket = 0;
    core::Instant call_deadline{};
    std::optional<core::Grant> grant;  // that the answer tells of
};

// Answers with what `answer` makes of the value, or with the error.
template <class Call, class Value, class Fill>
void respond(Call& call, const Result<Value>& result, Fill fill) {
    if (!result) {
        call.finish(to_status(result.error()));
        return;
    }
    fill(*result);
    call.finish(grpc::Status::OK);
}

template <class Call>
void refuse(Call& call, const core::Error& error) {
    call.finish(to_status(error));
}

// Gives a grant out only if its holder can still hear of it and have use of it.
void answer(UnaryCall<v1::AcquireRequest, v1::AcquireResponse>& call,
            Acquiring& state,
            LockManager& manager,
            core::Instant now,
            Result<core::Grant> granted) {
    if (granted) {
        if (now < state.call_deadline &&
            fill(*call.response().mutable_lease(), *granted, call.received_at(), now)) {
            state.grant = *granted;
        } else {
            manager.abandon(*granted);
            granted = tl::unexpected(too_late());
        }
    }
    call.finish(granted ? grpc::Status::OK : to_status(granted.error()));
}

}  // namespace

void Handlers::acquire(Call<v1::AcquireRequest, v1::AcquireResponse> call) {
    auto request = parse(call->request(), limits_);
    if (!request) {
        refuse(*call, request.error());
        return;
    }
    request->received_at = call->received_at();
    request->call_deadline = call->deadline();
    const core::LockName name = request->name;
    const auto state = std::make_shared<Acquiring>();
    state->call_deadline = request->call_deadline;
    call->on_cancel = [this, name, state] {
        shards_.post(name,
                     [state](LockManager& manager) { manager.cancel_acquire(state->ticket); });
    };
    call->on_settled = [this, name, state](bool delivered) {
        if (delivered) {
            return;
        }
        shards_.post(name, [state](LockManager& manager) {
            if (state->grant) {
                manager.abandon(*state->grant);
            }
        });
    };
    shards_.post(name, [this, call, state, request = *std::move(request)](auto& manager) mutable {
        state->ticket = manager.acquire(
            std::move(request), [this, call, state, &manager](Result<core::Grant> granted) {
                answer(*call, *state, manager, clock_.now(), std::move(granted));
            });
    });
}

void Handlers::release(Call<v1::ReleaseRequest, v1::ReleaseResponse> call) {
    auto any = core::decode_any_lease_id(call->request().lease_id());
    if (!any) {
        refuse(*call, any.error());
        return;
    }
    if (auto* set = std::get_if<core::LeaseSet>(&*any)) {
        release_set(call, std::move(*set));
        return;
    }
    auto& lease = std::get<core::Lease>(*any);
    const core::LockName name = lease.name;
    shards_.post(name, [call, lease = std::move(lease)](LockManager& manager) mutable {
        manager.release(
            std::move(lease), call->deadline(), [call](Result<core::Released> released) {
                respond(*call, released, [&](const auto& known) { fill(call->response(), known); });
            });
    });
}

void Handlers::renew(Call<v1::RenewRequest, v1::RenewResponse> call) {
    auto any = core::decode_any_lease_id(call->request().lease_id());
    if (!any) {
        refuse(*call, any.error());
        return;
    }
    const auto ttl = limits_.check_ttl(call->request().ttl_ms());
    if (!ttl) {
        refuse(*call, ttl.error());
        return;
    }
    if (auto* set = std::get_if<core::LeaseSet>(&*any)) {
        renew_set(call, std::move(*set), *ttl);
        return;
    }
    auto& lease = std::get<core::Lease>(*any);
    const core::LockName name = lease.name;
    shards_.post(name, [this, call, ttl = *ttl, lease = std::move(lease)](auto& manager) mutable {
        const LockManager::CallTimes times{call->received_at(), call->deadline()};
        manager.renew(std::move(lease), ttl, times, [this, call](Result<core::Grant> renewed) {
            if (renewed && !fill(*call->response().mutable_lease(),
                                 *renewed,
                                 call->received_at(),
                                 clock_.now())) {
                renewed = tl::unexpected(too_late());
            }
            call->finish(renewed ? grpc::Status::OK : to_status(renewed.error()));
        });
    });
}

void Handlers::convert(Call<v1::ConvertRequest, v1::ConvertResponse> call) {
    auto request = parse(call->request(), limits_);
    if (!request) {
        refuse(*call, request.error());
        return;
    }
    request->times = {call->received_at(), call->deadline()};
    const core::LockName name = request->lease.name;
    const auto state = std::make_shared<Acquiring>();
    call->on_cancel = [this, name, state] {
        shards_.post(name,
                     [state](LockManager& manager) { manager.cancel_acquire(state->ticket); });
    };
    shards_.post(name, [this, call, state, request = *std::move(request)](auto& manager) mutable {
        state->ticket =
            manager.convert(std::move(request), [this, call](Result<core::Grant> converted) {
                if (converted && !fill(*call->response().mutable_lease(),
                                       *converted,
                                       call->received_at(),
                                       clock_.now())) {
                    converted = tl::unexpected(too_late());
                }
                call->finish(converted ? grpc::Status::OK : to_status(converted.error()));
            });
    });
}

void Handlers::hold(std::shared_ptr<HoldCall> call) {
    auto request = parse_hold(call->request(), limits_);
    if (!request) {
        call->end(to_status(request.error()));
        return;
    }
    if (request->reentrant) {
        call->end(to_status(
            core::invalid("reentrant", "reentrant is for Session, which can have a lock twice")
                .value()));
        return;
    }
    std::make_shared<Hold>(std::move(call), *std::move(request), clock_, shards_, streams_)
        ->start();
}

void Handlers::session(std::shared_ptr<SessionCall> call) {
    const auto session =
        std::make_shared<Session>(std::move(call), clock_, limits_, shards_, streams_);
    session->start();
    remember(sessions_, session);
}

void Handlers::watch(std::shared_ptr<WatchCall> call) {
    auto scope = parse(call->request());
    if (!scope) {
        call->end(to_status(scope.error()));
        return;
    }
    const auto watch = std::make_shared<Watch>(std::move(call), *std::move(scope), shards_);
    watch->start();
    remember(watches_, watch);
}

// Until it is gone, for drain().
template <class Stream>
void Handlers::remember(std::vector<std::weak_ptr<Stream>>& streams,
                        const std::shared_ptr<Stream>& stream) {
    const std::lock_guard lock{mutex_};
    if (draining_) {
        stream->drain();
        return;
    }
    std::erase_if(streams, [](const auto& one) { return one.expired(); });
    streams.push_back(stream);
}

void Handlers::drain() {
    const std::lock_guard lock{mutex_};
    draining_ = true;
    for (const auto& one : sessions_) {
        if (const auto session = one.lock()) {
            session->drain();
        }
    }
    for (const auto& one : watches_) {
        if (const auto watch = one.lock()) {
            watch->drain();
        }
    }
}

void Handlers::get_lock(Call<v1::GetLockRequest, v1::GetLockResponse> call) {
    auto name = core::LockName::parse(call->request().name());
    if (!name) {
        refuse(*call, name.error());
        return;
    }
    shards_.post(*name, [call, name = *name](LockManager& manager) {
        manager.inspect(name, [call](Result<std::optional<core::LockState>> state) {
            if (state && !(*state && !(*state)->holders.empty())) {
                state = core::fail(core::Reason::not_found, "nobody holds this lock");
            }
            respond(*call, state, [&](const auto& known) {
                fill(*call->response().mutable_lock(), *known);
            });
        });
    });
}

void Handlers::list_locks(Call<v1::ListLocksRequest, v1::ListLocksResponse> call) {
    auto request = parse(call->request());
    if (!request) {
        refuse(*call, request.error());
        return;
    }
    // Every shard sees the whole store.
    shards_.post_to(0, [call, request = *std::move(request)](LockManager& manager) {
        manager.list(
            request.prefix, request.from, request.limit, [call](Result<core::LockPage> page) {
                respond(*call, page, [&](const core::LockPage& known) {
                    for (const core::LockState& state : known.locks) {
                        fill(*call->response().add_locks(), state);
                    }
                    call->response().set_next_page_token(known.next);
                });
            });
    });
}

void Handlers::validate(Call<v1::ValidateRequest, v1::ValidateResponse> call) {
    auto name = core::LockName::parse(call->request().name());
    if (!name) {
        refuse(*call, name.error());
        return;
    }
    if (call->request().fencing_token() == 0) {
        refuse(
            *call,
            core::invalid("fencing_token", "fencing_token is 0, which is never granted").value());
        return;
    }
    shards_.post(*name, [call, name = *name](LockManager& manager) {
        manager.inspect(name, [call](Result<std::optional<core::LockState>> state) {
            respond(*call, state, [&](const std::optional<core::LockState>& known) {
                const core::FencingToken asked{call->request().fencing_token()};
                const core::FencingToken newest =
                    known ? known->newest_exclusive : core::FencingToken{};
                const bool is_newest = known && newest <= asked && asked <= known->newest;
                const bool held = known && std::any_of(known->holders.begin(),
                                                       known->holders.end(),
                                                       [&](const core::HolderState& holder) {
                                                           return holder.summary.token == asked;
                                                       });
                call->response().set_newest(is_newest);
                call->response().set_held(is_newest && held);
                call->response().set_newest_token(newest.value);
            });
        });
    });
}

}  // namespace holdfast::rpc
