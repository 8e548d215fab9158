#pragma once

// The RPCs of AdminService that are served, in the same manner as handlers.hpp. What is about all
// shards is asked of each; the last one to answer finishes the call.

#include "core/shards.hpp"
#include "holdfast/v1/admin_service.pb.h"
#include "rpc/admin_port.hpp"
#include "rpc/call.hpp"
#include "rpc/streams.hpp"

namespace holdfast::rpc {

namespace v1 = ::holdfast::v1;

class AdminHandlers {
public:
    // What is handed over outlives every call.
    AdminHandlers(const core::Clock& clock,
                  core::Shards& shards,
                  const Streams& streams,
                  AdminPort port)
        : clock_(clock), shards_(shards), streams_(streams), port_(std::move(port)) {}

    template <class Request, class Response>
    using Call = std::shared_ptr<UnaryCall<Request, Response>>;

    void get_status(Call<v1::GetStatusRequest, v1::GetStatusResponse> call);
    void revoke(Call<v1::RevokeRequest, v1::RevokeResponse> call);
    void force_release(Call<v1::ForceReleaseRequest, v1::ForceReleaseResponse> call);
    void explain(Call<v1::ExplainRequest, v1::ExplainResponse> call);
    void list_sessions(Call<v1::ListSessionsRequest, v1::ListSessionsResponse> call);
    void drain(Call<v1::DrainRequest, v1::DrainResponse> call);

private:
    const core::Clock& clock_;
    core::Shards& shards_;
    const Streams& streams_;
    AdminPort port_;
};

}  // namespace holdfast::rpc
