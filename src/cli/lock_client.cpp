#include "cli/lock_client.hpp"

#include "cli/failure.hpp"

#include <grpcpp/channel.h>

#include <utility>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTtl{30'000};
constexpr milliseconds kWait{30'000};
constexpr milliseconds kCallTimeout{40'000};

}  // namespace

LockClient::LockClient(const std::shared_ptr<grpc::Channel>& channel,
                       std::vector<std::string> locks,
                       bool waits,
                       std::uint32_t replicas)
    : stub_(v1::LockService::NewStub(channel)), locks_(std::move(locks)) {
    acquire_.set_ttl_ms(static_cast<std::uint64_t>(kTtl.count()));
    acquire_.set_wait_ms(waits ? static_cast<std::uint64_t>(kWait.count()) : 0);
    acquire_.set_owner("holdfast bench");
    if (replicas > 0) {
        acquire_.set_durability(v1::DURABILITY_REPLICATED);
        acquire_.set_replicas(replicas);
    }
}

std::size_t LockClient::call(grpc::CompletionQueue& queue, void* tag) {
    context_.emplace();
    context_->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    if (release_.lease_id().empty()) {
        acquire_.set_name(locks_[next_++ % locks_.size()]);
        acquiring_ = stub_->AsyncAcquire(&*context_, acquire_, &queue);
        acquiring_->Finish(&acquired_, &status_, tag);
        return 0;
    }
    releasing_ = stub_->AsyncRelease(&*context_, release_, &queue);
    releasing_->Finish(&released_, &status_, tag);
    return 1;
}

std::string LockClient::ended() {
    const bool was_acquire = release_.lease_id().empty();
    release_.clear_lease_id();
    if (!status_.ok()) {
        return failure_of(status_, "the daemon").message;
    }
    if (was_acquire) {
        release_.set_lease_id(acquired_.lease().lease_id());
    }
    return {};
}

}  // namespace holdfast::cli
