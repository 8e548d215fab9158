#include "bench/echo_server.hpp"

#include "echo.grpc.pb.h"

#include <absl/synchronization/mutex.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace holdfast::bench {
namespace {

constexpr int kArmed = 256;

using Service = Echo::AsyncService;

class Call {
public:
    Call(Service& service, grpc::ServerCompletionQueue& queue, boost::asio::io_context* worker)
        : service_(service), queue_(queue), worker_(worker) {
        arm();
    }

    void returned() {
        if (!arrived_) {
            arm();
            return;
        }
        arrived_ = false;
        if (worker_ == nullptr) {
            finish();
        } else {
            boost::asio::post(*worker_, [this] { finish(); });
        }
    }

private:
    void arm() {
        context_.emplace();
        writer_.emplace(&*context_);
        arrived_ = true;
        service_.RequestCall(&*context_, &message_, &*writer_, &queue_, &queue_, this);
    }
    void finish() { writer_->Finish(message_, grpc::Status::OK, this); }

    Service& service_;
    grpc::ServerCompletionQueue& queue_;
    boost::asio::io_context* worker_;
    std::optional<grpc::ServerContext> context_;
    std::optional<grpc::ServerAsyncResponseWriter<Nothing>> writer_;
    Nothing message_;
    bool arrived_ = false;
};

}  // namespace

void serve_echo(const std::vector<std::string>& words) {
    const bool hop = words.at(0) == "hop";
    const std::string& address = words.at(1);
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as holdfastd does
    Service service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    const auto queue = builder.AddCompletionQueue();
    const auto server = builder.BuildAndStart();
    if (!server) {
        std::cerr << "cannot listen on " << address << '\n';
        std::_Exit(1);
    }
    boost::asio::io_context worker{1};
    const auto work = boost::asio::make_work_guard(worker);
    std::thread{[&worker] { worker.run(); }}.detach();
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < kArmed; ++i) {
        calls.push_back(std::make_unique<Call>(service, *queue, hop ? &worker : nullptr));
    }
    void* tag = nullptr;
    for (bool ok = false; queue->Next(&tag, &ok);) {
        static_cast<Call*>(tag)->returned();
    }
    std::_Exit(0);
}

}  // namespace holdfast::bench
