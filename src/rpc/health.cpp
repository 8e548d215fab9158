#include "rpc/health.hpp"

#include <utility>

namespace holdfast::rpc {

// Its members are guarded by the Health's mutex.
class Health::Watch : public std::enable_shared_from_this<Watch> {
public:
    Watch(Health& health, grpc::ServerCompletionQueue& queue)
        : health_(health), queue_(queue), writer_(&context_) {}

    void arm() {
        context_.AsyncNotifyWhenDone(hold(done_));
        health_.service_.RequestWatch(
            &context_, &request_, &writer_, &queue_, &queue_, hold(arrived_));
    }

    // Writes the status, unless the client has it or is just being told.
    void update() {
        const auto now = health_.status_of(request_.service());
        if (writing_ || over_ || health_.closed_ || now == told_) {
            return;
        }
        writing_ = true;
        told_ = now;
        Response response;
        response.set_status(now);
        writer_.Write(response, hold(written_));
    }

private:
    template <void (Watch::*Next)(bool)>
    struct Step final : Tag {
        void returned(bool ok) override {
            back_from_grpc(this);
            const auto watch = std::exchange(held, nullptr);
            ((*watch).*Next)(ok);
        }
        std::shared_ptr<Watch> held;
    };

    template <class StepType>
    Tag* hold(StepType& step) {
        step.held = shared_from_this();
        handed_to_grpc(&step);
        return &step;
    }

    void on_arrived(bool ok) {
        if (!ok) {
            done_.held.reset();  // gRPC does not return this tag for a call that never began
            return;
        }
        const std::lock_guard lock{health_.mutex_};
        if (!health_.closed_) {
            std::make_shared<Watch>(health_, queue_)->arm();
        }
        if (!over_) {
            health_.watches_.insert(shared_from_this());
            update();
        }
    }

    void on_written(bool) {
        const std::lock_guard lock{health_.mutex_};
        writing_ = false;
        update();
    }

    void on_done(bool) {
        const std::lock_guard lock{health_.mutex_};
        over_ = true;
        health_.watches_.erase(shared_from_this());
    }

    Health& health_;
    grpc::ServerCompletionQueue& queue_;
    grpc::ServerContext context_;
    Request request_;
    grpc::ServerAsyncWriter<Response> writer_;
    Response::ServingStatus told_ = Response::UNKNOWN;
    bool writing_ = false;
    bool over_ = false;
    Step<&Watch::on_arrived> arrived_;
    Step<&Watch::on_written> written_;
    Step<&Watch::on_done> done_;
};

Health::Health(const std::vector<std::string>& services) {
    for (const std::string& service : services) {
        statuses_[service] = Response::NOT_SERVING;
    }
}

Health::~Health() = default;

void Health::set_serving(bool serving) {
    const std::lock_guard lock{mutex_};
    for (auto& [service, status] : statuses_) {
        status = serving ? Response::SERVING : Response::NOT_SERVING;
    }
    for (const auto& watch : watches_) {
        watch->update();
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

void Health::arm_watch(grpc::ServerCompletionQueue& queue) {
    const std::lock_guard lock{mutex_};
    std::make_shared<Watch>(*this, queue)->arm();
}

void Health::close() {
    const std::lock_guard lock{mutex_};
    closed_ = true;
}

Health::Response::ServingStatus Health::status_of(const std::string& service) const {
    const auto found = statuses_.find(service);
    return found == statuses_.end() ? Response::SERVICE_UNKNOWN : found->second;
}

}  // namespace holdfast::rpc
