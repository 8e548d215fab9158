#include "cli/hold_stream.hpp"

#include "cli/stream_channel.hpp"

#include <utility>

namespace holdfast::cli {

HoldStream::HoldStream(const std::string& server,
                       const v1::AcquireRequest& request,
                       const Wake& wake)
    : wake_(wake),
      channel_(stream_channel(server)),
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
