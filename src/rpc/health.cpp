#include "rpc/health.hpp"

namespace holdfast::rpc {
namespace {

grpc::Status shutting_down() {
    return {grpc::StatusCode::UNAVAILABLE, "this daemon is shutting down"};
}

}  // namespace

Health::Health(const std::vector<std::string>& services) {
    for (const std::string& service : services) {
        statuses_[service] = Response::NOT_SERVING;
    }
}

void Health::set_serving(bool serving) {
    const std::lock_guard lock{mutex_};
    const auto wanted = serving ? Response::SERVING : Response::NOT_SERVING;
    if (statuses_.begin()->second == wanted) {
        return;
    }
    for (auto& [service, status] : statuses_) {
        status = wanted;
    }
    for (const auto& [call, watcher] : watchers_) {
        if (statuses_.contains(call->request().service())) {
            tell(*call);
        }
    }
}

void Health::check(const std::shared_ptr<UnaryCall<Request, Response>>& call) {
    Response::ServingStatus status{};
    {
        const std::lock_guard lock{mutex_};
        status = status_of(call->request().service());
    }
    if (status == Response::SERVICE_UNKNOWN) {
        call->finish({grpc::StatusCode::NOT_FOUND, "no such service here"});
        return;
    }
    call->response().set_status(status);
    call->finish(grpc::Status::OK);
}

void Health::watch(const std::shared_ptr<WatchCall>& call) {
    call->on_over = [this, key = call.get()](std::size_t) {
        const std::lock_guard lock{mutex_};
        watchers_.erase(key);
    };
    const std::lock_guard lock{mutex_};
    if (closed_) {
        call->end(shutting_down());
        return;
    }
    watchers_.emplace(call.get(), call);
    tell(*call);
}

void Health::close() {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    for (const auto& [call, watcher] : watchers_) {
        call->end(shutting_down());
    }
}

void Health::tell(WatchCall& call) const {
    Response response;
    response.set_status(status_of(call.request().service()));
    call.send(std::move(response));
}

Health::Response::ServingStatus Health::status_of(const std::string& service) const {
    const auto found = statuses_.find(service);
    return found == statuses_.end() ? Response::SERVICE_UNKNOWN : found->second;
}

}  // namespace holdfast::rpc
