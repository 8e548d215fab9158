#pragma once

// What a completion queue returns, and the one kind there is: a step of a call, which keeps the call
// alive while it is out.

#include "rpc/handover.hpp"

#include <memory>
#include <utility>

namespace holdfast::rpc {

// The queue's thread calls it with `ok`.
class Tag {
public:
    virtual ~Tag() = default;
    virtual void returned(bool ok) = 0;
};

// Calls a member function of the call when it returns.
template <class Call, void (Call::*Next)(bool)>
class Step final : public Tag {
public:
    // To be called right before the tag is given to gRPC.
    Tag* hold(std::shared_ptr<Call> call) {
        call_ = std::move(call);
        handed_to_grpc(this);
        return this;
    }
    // gRPC will not return it.
    void release() { call_.reset(); }
    void returned(bool ok) override {
        back_from_grpc(this);
        const auto call = std::move(call_);
        ((*call).*Next)(ok);
    }

private:
    std::shared_ptr<Call> call_;
};

}  // namespace holdfast::rpc
