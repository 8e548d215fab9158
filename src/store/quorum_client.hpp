#pragma once

// All nodes of a quorum as one Client, for what each of them keeps, and any can answer: who is there. A
// command goes to every node; the first reply is the answer, or the last failure, if there is none.

#include "redis/client.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace holdfast::store {

class QuorumClient final : public redis::Client {
public:
    // What is handed over outlives this.
    explicit QuorumClient(std::vector<redis::Client*> nodes) : nodes_(std::move(nodes)) {}

    void send(std::size_t affinity, redis::Command command) override {
        struct Answering {
            absl::AnyInvocable<void(redis::Outcome)> done;
            std::size_t missing;
        };
        auto answering =
            std::make_shared<Answering>(Answering{std::move(command.done), nodes_.size()});
        for (redis::Client* node : nodes_) {
            node->send(affinity,
                       {command.wire,
                        command.timeout,
                        [answering](redis::Outcome outcome) {
                            const bool last = --answering->missing == 0;
                            const auto* reply = std::get_if<redis::Reply>(&outcome);
                            const bool good = reply != nullptr && !(*reply)->is_error();
                            if (answering->done && (good || last)) {
                                std::exchange(answering->done, nullptr)(std::move(outcome));
                            }
                        },
                        {},
                        command.gives_way});
        }
    }

private:
    std::vector<redis::Client*> nodes_;
};

}  // namespace holdfast::store
