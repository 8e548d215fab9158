#include "bench/loads.hpp"

#include "cli/load_report.hpp"
#include "cli/lock_client.hpp"
#include "echo.grpc.pb.h"
#include "etcd.grpc.pb.h"
#include "etcd_lease.grpc.pb.h"

#include <grpcpp/create_channel.h>

#include <iostream>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace holdfast::bench {
namespace {

using cli::LoadClient;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

std::string error_of(const grpc::Status& status) {
    return status.ok() ? "" : status.error_message();
}

class EchoClient final : public LoadClient {
public:
    explicit EchoClient(const std::shared_ptr<grpc::Channel>& channel)
        : stub_(Echo::NewStub(channel)) {}

    std::size_t call(grpc::CompletionQueue& queue, void* tag) override {
        context_.emplace();
        // As real clients do; and as `holdfast bench` does.
        context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{40});
        reader_ = stub_->AsyncCall(&*context_, message_, &queue);
        reader_->Finish(&message_, &status_, tag);
        return 0;
    }
    std::string ended() override { return error_of(status_); }

private:
    std::unique_ptr<Echo::Stub> stub_;
    std::optional<grpc::ClientContext> context_;
    Nothing message_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Nothing>> reader_;
    grpc::Status status_;
};

class EtcdClient final : public LoadClient {
public:
    EtcdClient(const std::shared_ptr<grpc::Channel>& channel, const std::string& lock)
        : stub_(v3lockpb::Lock::NewStub(channel)) {
        grpc::ClientContext context;
        etcdserverpb::LeaseGrantRequest request;
        request.set_ttl(60);
        etcdserverpb::LeaseGrantResponse lease;
        const auto status =
            etcdserverpb::Lease::NewStub(channel)->LeaseGrant(&context, request, &lease);
        if (!status.ok()) {
            throw std::runtime_error("etcd grants no lease: " + status.error_message());
        }
        lock_.set_name(lock);
        lock_.set_lease(lease.id());
    }

    std::size_t call(grpc::CompletionQueue& queue, void* tag) override {
        context_.emplace();
        if (unlock_.key().empty()) {
            locking_ = stub_->AsyncLock(&*context_, lock_, &queue);
            locking_->Finish(&locked_, &status_, tag);
            return 0;
        }
        unlocking_ = stub_->AsyncUnlock(&*context_, unlock_, &queue);
        unlocking_->Finish(&unlocked_, &status_, tag);
        return 1;
    }
    std::string ended() override {
        const bool was_lock = unlock_.key().empty();
        unlock_.clear_key();
        if (was_lock && status_.ok()) {
            unlock_.set_key(locked_.key());
        }
        return error_of(status_);
    }
    bool busy() const override { return !unlock_.key().empty(); }

private:
    std::unique_ptr<v3lockpb::Lock::Stub> stub_;
    std::optional<grpc::ClientContext> context_;
    v3lockpb::LockRequest lock_;
    v3lockpb::LockResponse locked_;
    v3lockpb::UnlockRequest unlock_;
    v3lockpb::UnlockResponse unlocked_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v3lockpb::LockResponse>> locking_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v3lockpb::UnlockResponse>> unlocking_;
    grpc::Status status_;
};

std::shared_ptr<grpc::Channel> channel_to(const std::string& address) {
    return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

std::string new_prefix() {
    return "bench-" + std::to_string(std::random_device{}()) + "-";
}

Milliseconds duration_of(const std::string& word) {
    return Milliseconds{std::stol(word)};
}

// When the lock that all want was last let go, and how long each next grant took.
struct HandOns {
    std::optional<Clock::time_point> let_go;
    cli::LoadResult::Kind took;
};

class HotClient final : public LoadClient {
public:
    HotClient(const std::shared_ptr<grpc::Channel>& channel,
              const std::string& lock,
              HandOns& hand_ons)
        : client_(channel, {lock}, true, 0), hand_ons_(hand_ons) {}

    std::size_t call(grpc::CompletionQueue& queue, void* tag) override {
        if (busy()) {
            hand_ons_.let_go = Clock::now();
        }
        return client_.call(queue, tag);
    }
    std::string ended() override {
        std::string why = client_.ended();
        if (busy() && hand_ons_.let_go) {
            hand_ons_.took.add(Clock::now() - *std::exchange(hand_ons_.let_go, std::nullopt));
        }
        return why;
    }
    bool busy() const override { return client_.busy(); }

private:
    cli::LockClient client_;
    HandOns& hand_ons_;
};

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream in{text};
    for (std::string part; std::getline(in, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

}  // namespace

void load_echo(const std::vector<std::string>& words) {
    const auto channel = channel_to(words.at(0));
    std::vector<std::unique_ptr<LoadClient>> all;
    for (std::size_t i = 0; i < std::stoul(words.at(1)); ++i) {
        all.push_back(std::make_unique<EchoClient>(channel));
    }
    std::cout << cli::to_json(cli::run_load(all, 1, duration_of(words.at(2))), {"echo"});
}

void load_etcd(const std::vector<std::string>& words) {
    const auto channel = channel_to(words.at(0));
    const std::size_t locks = std::stoul(words.at(2));
    const std::string prefix = new_prefix();
    std::vector<std::unique_ptr<LoadClient>> all;
    for (std::size_t i = 0; i < std::stoul(words.at(1)); ++i) {
        const std::size_t lock = locks == 0 ? i : i % locks;
        all.push_back(std::make_unique<EtcdClient>(channel, prefix + std::to_string(lock)));
    }
    std::cout << cli::to_json(cli::run_load(all, 2, duration_of(words.at(3))),
                              {"acquire", "release"});
}

void load_hot(const std::vector<std::string>& words) {
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (const std::string& address : split(words.at(0), ',')) {
        channels.push_back(channel_to(address));
    }
    const std::string lock = new_prefix() + "hot";
    HandOns hand_ons;
    std::vector<std::unique_ptr<LoadClient>> all;
    for (std::size_t i = 0; i < std::stoul(words.at(1)); ++i) {
        all.push_back(std::make_unique<HotClient>(channels[i % channels.size()], lock, hand_ons));
    }
    cli::LoadResult result = cli::run_load(all, 2, duration_of(words.at(2)));
    hand_ons.took.sort();
    result.kinds.push_back(std::move(hand_ons.took));
    std::cout << cli::to_json(result, {"acquire", "release", "hand_on"});
}

}  // namespace holdfast::bench
