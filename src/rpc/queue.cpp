#include "rpc/queue.hpp"

namespace holdfast::rpc {
namespace {

// Events before the shards get what has gathered: some hundred microseconds of work.
constexpr int kMostAtATime = 32;

}  // namespace

void Queue::turn(core::Shards& shards) {
    using Next = grpc::CompletionQueue::NextStatus;
    const gpr_timespec at_once = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    outbox.adopt_thread();
    outbox.wake();
    core::Shards::Gathering gathering{shards};
    void* tag = nullptr;
    bool ok = false;
    for (;;) {
        Next next = Next::GOT_EVENT;
        for (int taken = 0; taken < kMostAtATime; ++taken) {
            next = grpc->AsyncNext(&tag, &ok, at_once);
            if (next != Next::GOT_EVENT) {
                break;
            }
            static_cast<Tag*>(tag)->returned(ok);
        }
        gathering.flush();
        outbox.send_all();
        if (next == Next::TIMEOUT && outbox.rest()) {
            if (!grpc->Next(&tag, &ok)) {
                return;
            }
            outbox.wake();
            static_cast<Tag*>(tag)->returned(ok);
        } else if (next == Next::SHUTDOWN) {
            return;
        }
    }
}

}  // namespace holdfast::rpc
