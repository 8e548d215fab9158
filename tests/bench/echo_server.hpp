#pragma once

// An empty echo over one completion queue and one thread: what gRPC alone costs. Call objects are
// reused, and each is armed again before it answers.

#include <string>

namespace holdfast::bench {

enum class EchoPath {
    inline_,  // answered on the queue's thread
    hop,      // handed to another thread, as Holdfast's shards are, and answered from there
};

// Serves until the process is killed.
[[noreturn]] void serve_echo(const std::string& address, EchoPath path);

}  // namespace holdfast::bench
