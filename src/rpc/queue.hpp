#pragma once

// A completion queue with its outbox, and the loop of the thread that turns it:
//
//   working   takes what is there, event by event; what the handlers post to the shards gathers
//             -> handing over, when nothing is there, or after many events
//   handing over   the shards get what has gathered, each in one piece; the answers that have gathered are
//             sent -> working, if there were any, or it was for the many events
//             -> asleep
//   asleep    in gRPC's poller -> working with the event that ends it; -> gone, when the queue is shut down
//             and empty

#include "core/shards.hpp"
#include "rpc/outbox.hpp"

#include <memory>
#include <utility>

namespace holdfast::rpc {

struct Queue {
    explicit Queue(std::unique_ptr<grpc::ServerCompletionQueue> of_server)
        : grpc(std::move(of_server)), outbox(*grpc) {}

    // Returns when the queue is gone. Calls post to `shards`.
    void turn(core::Shards& shards);

    std::unique_ptr<grpc::ServerCompletionQueue> grpc;
    Outbox outbox;
};

}  // namespace holdfast::rpc
