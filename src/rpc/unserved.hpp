#pragma once

// The RPCs that this version does not serve yet: UNIMPLEMENTED, with the RPC's name. They are gRPC
// synchronous methods, answered by the few threads that serve reflection.

#include "holdfast/v1/admin_service.grpc.pb.h"
#include "holdfast/v1/lock_service.grpc.pb.h"
#include "rpc/status.hpp"

#include <string>

namespace holdfast::rpc {

inline grpc::Status unserved(const char* rpc) {
    return to_status({core::Reason::unimplemented,
                      std::string{rpc} + " is not served by this version of holdfastd",
                      rpc});
}

// `Base` serves the rest of AdminService.
template <class Base>
class WithUnservedAdmin : public Base {
public:
    using Context = grpc::ServerContext;

    grpc::Status Explain(Context*, const v1::ExplainRequest*, v1::ExplainResponse*) override {
        return unserved("Explain");
    }
    grpc::Status ListSessions(Context*,
                              const v1::ListSessionsRequest*,
                              v1::ListSessionsResponse*) override {
        return unserved("ListSessions");
    }
    grpc::Status Drain(Context*, const v1::DrainRequest*, v1::DrainResponse*) override {
        return unserved("Drain");
    }
};

}  // namespace holdfast::rpc
