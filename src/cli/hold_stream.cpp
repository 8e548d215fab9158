#include "cli/hold_stream.hpp"

#include <grpcpp/create_channel.h>

#include <utility>

namespace holdfast::cli {
namespace {

// How soon a dead network is noticed: ping after so long without a word, and as long again. The lease
// does not wait for that: it is renewed by other calls when nothing comes on the stream.
constexpr int kKeepaliveMs = 5000;

std::shared_ptr<grpc::Channel> connect(const std::string& server) {
    grpc::ChannelArguments arguments;
    // A connection of its own, so that no earlier failure delays it, and another daemon may be behind
    // the same address.
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

HoldStream::HoldStream(const std::string& server,
                       const v1::AcquireRequest& request,
                       const Wake& wake)
    : wake_(wake),
      channel_(connect(server)),
      stub_(v1::LockService::NewStub(channel_)),
      sent_at_(boot_now()),
      thread_([this, request] { read(request); }) {}

HoldStream::~HoldStream() {
    context_.TryCancel();
    thread_.join();
}

void HoldStream::read(const v1::AcquireRequest& request) {
    const auto reader = stub_->Hold(&context_, request);  // blocks until it is connected
    v1::LeaseEvent event;
    while (reader->Read(&event)) {
        const std::lock_guard lock{mutex_};
        events_.push_back(std::exchange(event, {}));
        wake_.set();
    }
    const grpc::Status status = reader->Finish();
    const std::lock_guard lock{mutex_};
    status_ = status;
    wake_.set();
}

std::optional<v1::LeaseEvent> HoldStream::next() {
    const std::lock_guard lock{mutex_};
    if (events_.empty()) {
        return {};
    }
    std::optional<v1::LeaseEvent> event{std::move(events_.front())};
    events_.pop_front();
    return event;
}

std::optional<grpc::Status> HoldStream::ended() {
    const std::lock_guard lock{mutex_};
    return events_.empty() ? status_ : std::nullopt;
}

}  // namespace holdfast::cli
