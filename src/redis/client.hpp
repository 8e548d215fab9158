#pragma once

// What the rest of Holdfast needs of a Redis client: send one command, learn exactly one of three
// things about it. Nothing is ever sent twice by the client itself.
//
//   reply    Redis answered; the answer may be a RESP error.
//   refused  the command never left this process: it was certainly not executed.
//   unknown  it left, or may have, and no answer came before its deadline or before the connection
//            broke: it may have been executed, may be executed later, or never.
//
// A command that became unknown by its deadline keeps its place in the connection's pipeline. If
// its reply does come in the end, it goes to `late` so that the caller can undo what it did.

#include "redis/reply.hpp"

#include <absl/functional/any_invocable.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::redis {

// Why there is no reply.
enum class Failure {
    refused_disconnected,  // no connection is up; certainly not executed
    refused_overloaded,    // too many commands are in flight, or it gave way until its deadline;
                           // certainly not executed
    refused_closing,       // the client is being shut down; certainly not executed
    unknown_timeout,       // the deadline passed after the command was handed to the connection
    unknown_disconnected,  // the connection broke after bytes of the command may have left
};

// True if the command certainly did not run and never will.
constexpr bool is_refused(Failure failure) {
    return failure == Failure::refused_disconnected || failure == Failure::refused_overloaded ||
           failure == Failure::refused_closing;
}

using Outcome = std::variant<Reply, Failure>;

// One command on its way. Arguments may hold any bytes.
struct Command {
    std::string wire;                        // RESP, made by format_command()
    std::chrono::milliseconds timeout;       // from send(), on CLOCK_BOOTTIME; then unknown_timeout
    absl::AnyInvocable<void(Outcome)> done;  // called exactly once, never from within send()
    absl::AnyInvocable<void(const Reply&)> late;  // optional: called at most once, after done got
                                                  // unknown_timeout and the reply still came
    bool gives_way = false;                       // to others, while many of its kind are under way
};

// RESP of a command.
std::string format_command(const std::vector<std::string_view>& arguments);

// Single-threaded: used from the thread that runs its executor, and calls back on that thread.
class Client {
public:
    virtual ~Client() = default;

    // `affinity` chooses the connection among several: commands with the same affinity go over the
    // same connection, in order, as long as it stays up.
    virtual void send(std::size_t affinity, Command command) = 0;
};

}  // namespace holdfast::redis
