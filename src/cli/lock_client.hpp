#pragma once

// A client for closed-loop load (load.hpp) that acquires and releases one of its locks after the other.
// Kinds of calls: 0 acquire, 1 release.

#include "cli/load.hpp"
#include "holdfast/v1/lock_service.grpc.pb.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

class LockClient final : public LoadClient {
public:
    // `waits`: for its turn; else each acquire tries once. `replicas`: that have to acknowledge each grant.
    LockClient(const std::shared_ptr<grpc::Channel>& channel,
               std::vector<std::string> locks,
               bool waits,
               std::uint32_t replicas);

    std::size_t call(grpc::CompletionQueue& queue, void* tag) override;
    std::string ended() override;
    bool busy() const override { return !release_.lease_id().empty(); }

private:
    std::unique_ptr<v1::LockService::Stub> stub_;
    std::vector<std::string> locks_;
    std::size_t next_ = 0;
    std::optional<grpc::ClientContext> context_;
    v1::AcquireRequest acquire_;
    v1::AcquireResponse acquired_;
    v1::ReleaseRequest release_;  // of the lease held; empty: none
    v1::ReleaseResponse released_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::AcquireResponse>> acquiring_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ReleaseResponse>> releasing_;
    grpc::Status status_;
};

}  // namespace holdfast::cli
