#pragma once

// One call on which the daemon sends events for as long as both sides want: server streaming, or, if
// the handler reads, bidirectional. As call.hpp, this file owns tags and lifetimes.
//
//   armed      Request...() is out, tag `arrived`
//              -> gone, if it returns not ok (the server shuts down)
//              -> open: the next call is armed first, then the handler runs on the queue's thread
//   open       send() from any thread: at most one Write() is out (tag `written`), what comes meanwhile
//              waits its turn. read_next(): at most one Read() is out (tag `was_read`)
//              -> ending: end() was called; what waits is written first, then Finish() (`finished`)
//   over       tag `done` (it always comes): the client has gone, or has its status. Nothing is written
//              any more; on_over runs once, on the queue's thread
//   gone       every tag has returned and nobody refers to the call
//
// A client that does not read for so long that kMaxWaiting events wait is cut off: it would believe
// old ones.

#include "rpc/call.hpp"

#include <grpcpp/support/async_stream.h>

#include <deque>
#include <limits>
#include <mutex>
#include <optional>

namespace holdfast::rpc {

template <class Request, class Event, class Wire>
class StreamCall;

template <class Request, class Event, class Wire>
struct StreamMethod {
    using Call = StreamCall<Request, Event, Wire>;
    std::size_t index;  // for CallContext::on_answer
    std::function<void(
        grpc::ServerContext*, Request*, Wire*, grpc::ServerCompletionQueue*, void* tag)>
        request_next;
    std::function<void(std::shared_ptr<Call>)> handle;
    // Puts `next` into an event that still waits, if it can; empty: never.
    std::function<bool(Event& waiting, Event& next)> merge = {};
};

// `Wire` is grpc::ServerAsyncWriter<Event> or grpc::ServerAsyncReaderWriter<Event, Request>.
template <class Request, class Event, class Wire>
class StreamCall : public std::enable_shared_from_this<StreamCall<Request, Event, Wire>> {
public:
    using MethodType = StreamMethod<Request, Event, Wire>;
    static constexpr std::size_t kMaxWaiting = 1024;
    static constexpr std::size_t kNotSent = std::numeric_limits<std::size_t>::max();

    // Arms one call. `method` and `shared` outlive the queue.
    static void arm(const MethodType& method, const CallContext& shared, Queue& queue) {
        auto call = std::make_shared<StreamCall>(method, shared, queue);
        call->context_.AsyncNotifyWhenDone(call->done_.hold(call));
        method.request_next(&call->context_,
                            &call->request_,
                            &call->wire_,
                            queue.grpc.get(),
                            call->arrived_.hold(call));
    }

    StreamCall(const MethodType& method, const CallContext& shared, Queue& queue)
        : method_(method), shared_(shared), queue_(queue), wire_(&context_) {}

    ~StreamCall() {
        if (open_) {
            shared_.gate.leave();
        }
    }

    Request& request() { return request_; }
    core::Instant received_at() const { return received_at_; }
    core::Instant deadline() const { return deadline_of(context_, shared_.clock); }
    std::string peer() const { return context_.peer(); }

    // From any thread. The event's number, counted from 0 (merged ones have one), or kNotSent. Says
    // nothing about whether it reaches the client: see on_over.
    std::size_t send(Event event) {
        const std::lock_guard lock{mutex_};
        if (over_ || status_) {
            return kNotSent;
        }
        if (waiting_.empty() || !method_.merge || !method_.merge(waiting_.back(), event)) {
            if (waiting_.size() >= kMaxWaiting) {
                context_.TryCancel();
                return kNotSent;
            }
            waiting_.push_back(std::move(event));
        }
        const std::size_t number = begun_ + waiting_.size() - 1;
        go_on();
        return number;
    }

    // How many events wait to be given to gRPC. From any thread.
    std::size_t waiting() {
        const std::lock_guard lock{mutex_};
        return waiting_.size();
    }

    // From any thread; the first one counts.
    void end(const grpc::Status& status) {
        const std::lock_guard lock{mutex_};
        if (over_ || status_) {
            return;
        }
        status_ = status;
        go_on();
    }

    // Asks for the client's next message: on_read is called with it, or with nullptr when the client
    // will send no more. Not before the last one has been handled.
    void read_next() { wire_.Read(&request_, was_read_.hold(this->shared_from_this())); }

    // Both set on the queue's thread, by handle(). `begun`: so many events were given to gRPC; each of
    // them may have reached the client, even if its Write() failed, and none of the others has.
    absl::AnyInvocable<void(std::size_t begun)> on_over;
    // Nothing waits any more. Set before the first send(); called on the queue's thread.
    absl::AnyInvocable<void()> on_idle;
    absl::AnyInvocable<void(Request* request)> on_read;

private:
    void go_on() {
        if (writing_ || finishing_) {
            return;
        }
        if (!waiting_.empty()) {
            writing_ = true;
            ++begun_;
            wire_.Write(waiting_.front(), written_.hold(this->shared_from_this()));
            waiting_.pop_front();
        } else if (status_) {
            finishing_ = true;
            wire_.Finish(*status_, finished_.hold(this->shared_from_this()));
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

    void on_written(bool) {
        bool idle = false;
        {
            const std::lock_guard lock{mutex_};
            writing_ = false;
            idle = waiting_.empty() && !over_;
            if (!over_) {
                go_on();
            }
        }
        if (idle && on_idle) {
            on_idle();
        }
    }

    void on_was_read(bool ok) {
        if (on_read) {
            on_read(ok ? &request_ : nullptr);
        }
    }

    void on_finished(bool) {}

    void on_done(bool) {
        std::size_t begun = 0;
        grpc::StatusCode code = grpc::StatusCode::CANCELLED;
        {
            const std::lock_guard lock{mutex_};
            over_ = true;
            begun = begun_;
            if (finishing_ && !context_.IsCancelled()) {
                code = status_->error_code();
            }
        }
        if (open_) {
            shared_.on_answer(method_.index, code, shared_.clock.now() - received_at_);
        }
        on_read = nullptr;
        on_idle = nullptr;
        if (auto told = std::exchange(on_over, nullptr)) {
            told(begun);
        }
    }

    const MethodType& method_;
    const CallContext& shared_;
    Queue& queue_;
    grpc::ServerContext context_;
    Request request_;
    Wire wire_;
    core::Instant received_at_{};
    bool open_ = false;
    Step<StreamCall, &StreamCall::on_arrived> arrived_;
    Step<StreamCall, &StreamCall::on_written> written_;
    Step<StreamCall, &StreamCall::on_was_read> was_read_;
    Step<StreamCall, &StreamCall::on_finished> finished_;
    Step<StreamCall, &StreamCall::on_done> done_;
    std::mutex mutex_;
    std::deque<Event> waiting_;           // guarded by mutex_, as all that follows
    std::optional<grpc::Status> status_;  // to end with
    std::size_t begun_ = 0;
    bool writing_ = false;
    bool finishing_ = false;
    bool over_ = false;
};

}  // namespace holdfast::rpc
