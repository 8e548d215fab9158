#pragma once

// A connection that only WAITs go over, as Replication uses it: the test says how many replicas
// acknowledge, and when.

#include "redis/client.hpp"
#include "redis/reply.hpp"

#include <deque>
#include <string>
#include <utility>

namespace holdfast::test {

class AcknowledgingClient final : public redis::Client {
public:
    void send(std::size_t, redis::Command command) override { sent.push_back(std::move(command)); }

    std::size_t pending() const { return sent.size(); }

    // Answers the first command.
    std::string answer(const std::string& resp) {
        redis::Command command = take();
        redis::ReplyReader reader;
        bool broken = false;
        reader.feed(resp);
        command.done(*reader.next(broken));
        return command.wire;
    }
    void fail(redis::Failure failure) { take().done(failure); }

    // Answers a beacon and its WAIT; the wire of the latter.
    std::string acknowledge(std::size_t replicas) {
        answer(":1\r\n");
        return answer(":" + std::to_string(replicas) + "\r\n");
    }

    std::deque<redis::Command> sent;

private:
    redis::Command take() {
        redis::Command command = std::move(sent.front());
        sent.pop_front();
        return command;
    }
};

}  // namespace holdfast::test
