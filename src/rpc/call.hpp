#pragma once

// One unary call on a completion queue, from armed to gone. This file owns tags and lifetimes; the
// handlers see a request to read, a response to fill, and finish().
//
//   armed      Request...() is out, tag `arrived`
//              -> gone, if it returns not ok (the server shuts down)
//              -> open: the next call is armed first, then the handler runs on the queue's thread
//   open       the handler works, on any thread, and calls finish() once
//              -> finishing, by way of the queue's outbox
//              -> gone without finish(), only if the client has cancelled and the handler was told
//   finishing  Finish() is out, tag `finished`
//   gone       every tag has returned and nobody refers to the call
//
// Calls that wait also have the tag `done` (AsyncNotifyWhenDone), which returns once per open call:
// if the client has cancelled before, on_cancel runs; and after `finished` and `done`, on_settled
// learns whether the answer can have reached the client. All tags of a call return on its queue's
// thread.
//
// Each outstanding tag holds a reference to the call; so does whoever works on it.

#include "core/clock.hpp"
#include "rpc/gate.hpp"
#include "rpc/queue.hpp"
#include "rpc/status.hpp"
#include "rpc/tag.hpp"

#include <absl/functional/any_invocable.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

namespace holdfast::rpc {

// What the calls of one server share; outlives them.
struct CallContext {
    const core::Clock& clock;
    Gate& gate;
    // Told of each call as it is answered, with the method's index and the time since it arrived.
    // From any thread.
    std::function<void(std::size_t method, grpc::StatusCode code, core::Duration took)> on_answer;
};

// Until when an answer can still reach the client in time, from its gRPC deadline; kNever without one.
// The client counts from its sending, we from the arrival, and gRPC does not say when an answer came
// too late: so a quarter of the time is left for the way, at most 20 ms.
inline core::Instant deadline_of(const grpc::ServerContext& context, const core::Clock& clock) {
    const gpr_timespec raw = context.raw_deadline();
    const gpr_timespec left = gpr_time_sub(raw, gpr_now(raw.clock_type));
    constexpr std::int64_t kForever = 366 * 24 * 3600;
    if (left.tv_sec > kForever) {
        return core::kNever;
    }
    const core::Duration total = std::chrono::seconds{left.tv_sec} + core::Duration{left.tv_nsec};
    constexpr core::Duration kMostForTheWay = core::Milliseconds{20};
    return clock.now() + total - std::clamp(total / 4, core::Duration{0}, kMostForTheWay);
}

// What a kind of call is made of: how to ask gRPC for the next one, and what to do with it.
template <class Request, class Response>
class UnaryCall;

template <class Request, class Response>
struct Method {
    using Call = UnaryCall<Request, Response>;
    std::size_t index;  // for CallContext::on_answer
    std::function<void(grpc::ServerContext*,
                       Request*,
                       grpc::ServerAsyncResponseWriter<Response>*,
                       grpc::ServerCompletionQueue*,
                       void* tag)>
        request_next;
    std::function<void(std::shared_ptr<Call>)> handle;
    bool waits = false;  // the handler may take its time: it wants on_cancel and on_settled
};

template <class Request, class Response>
class UnaryCall final : public Outgoing,
                        public std::enable_shared_from_this<UnaryCall<Request, Response>> {
public:
    using MethodType = Method<Request, Response>;

    // Arms one call. `method` and `shared` outlive the queue.
    static void arm(const MethodType& method, const CallContext& shared, Queue& queue) {
        auto call = std::make_shared<UnaryCall>(method, shared, queue);
        if (method.waits) {
            call->context_.AsyncNotifyWhenDone(call->done_.hold(call));
        }
        method.request_next(&call->context_,
                            &call->request_,
                            &call->writer_,
                            queue.grpc.get(),
                            call->arrived_.hold(call));
    }

    UnaryCall(const MethodType& method, const CallContext& shared, Queue& queue)
        : method_(method), shared_(shared), queue_(queue), writer_(&context_) {}

    ~UnaryCall() override {
        if (open_) {
            shared_.gate.leave();
        }
    }

    Request& request() { return request_; }
    Response& response() { return response_; }
    core::Instant received_at() const { return received_at_; }

    // An answer of a method that waits is withheld after it; not before this was asked for, by handle().
    core::Instant deadline() { return answer_by_ = deadline_of(context_, shared_.clock); }

    // Sends the response, or the error. Once; from any thread; nothing may be touched after it.
    void finish(const grpc::Status& status) {
        shared_.on_answer(method_.index, status.error_code(), shared_.clock.now() - received_at_);
        status_ = status;
        queue_.outbox.push(this->shared_from_this());
    }

    // Both only for methods that wait, set on the queue's thread, by handle().
    absl::AnyInvocable<void()> on_cancel;
    absl::AnyInvocable<void(bool delivered)> on_settled;

private:
    void send() override {
        if (method_.waits && status_.ok() && shared_.clock.now() >= answer_by_) {
            withheld_ = true;  // it has waited in the outbox for too long
            status_ = to_status(too_late());
        }
        Tag* const finished = finished_.hold(this->shared_from_this());
        if (status_.ok()) {
            writer_.Finish(response_, status_, finished);
        } else {
            writer_.FinishWithError(status_, finished);
        }
    }

    void on_arrived(bool ok) {
        if (!ok) {
            done_.release();  // gRPC does not return this tag for a call that never began
            return;
        }
        if (!shared_.gate.enter()) {
            return;  // too late to begin: the client sees the connection close
        }
        open_ = true;
        arm(method_, shared_, queue_);
        received_at_ = shared_.clock.now();
        method_.handle(this->shared_from_this());
    }

    void on_finished(bool ok) {
        delivered_ = ok;
        settle();
    }

    void on_done(bool) {
        cancelled_ = context_.IsCancelled();
        if (cancelled_ && on_cancel) {
            on_cancel();
        }
        settle();
    }

    // After the second of the two tags.
    void settle() {
        if (method_.waits && ++settled_tags_ == 2 && on_settled) {
            on_settled(delivered_ && !cancelled_ && !withheld_);
        }
    }

    const MethodType& method_;
    const CallContext& shared_;
    Queue& queue_;
    grpc::ServerContext context_;
    Request request_;
    Response response_;
    grpc::ServerAsyncResponseWriter<Response> writer_;
    grpc::Status status_;
    core::Instant received_at_{};
    Step<UnaryCall, &UnaryCall::on_arrived> arrived_;
    Step<UnaryCall, &UnaryCall::on_finished> finished_;
    Step<UnaryCall, &UnaryCall::on_done> done_;
    bool open_ = false;
    bool delivered_ = false;
    bool cancelled_ = false;
    bool withheld_ = false;
    core::Instant answer_by_ = core::kNever;
    int settled_tags_ = 0;
};

}  // namespace holdfast::rpc
