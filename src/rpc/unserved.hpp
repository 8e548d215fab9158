#pragma once

// The RPCs that this version does not serve yet: UNIMPLEMENTED, with the RPC's name. They are gRPC
// synchronous methods, answered by the few threads that serve reflection.

#include "holdfast/v1/lock_service.grpc.pb.h"
#include "rpc/status.hpp"

#include <string>

namespace holdfast::rpc {

inline grpc::Status unserved(const char* rpc) {
    return to_status({core::Reason::unimplemented,
                      std::string{rpc} + " is not served by this version of holdfastd",
                      rpc});
}

// `Base` serves the rest of LockService.
template <class Base>
class WithUnserved : public Base {
public:
    using Context = grpc::ServerContext;

    grpc::Status AcquireAll(Context*,
                            const v1::AcquireAllRequest*,
                            v1::AcquireAllResponse*) override {
        return unserved("AcquireAll");
    }
};

}  // namespace holdfast::rpc
