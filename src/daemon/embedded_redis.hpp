#pragma once

// A private redis-server for trying things out: a child on a Unix socket in a fresh directory,
// which nobody else can open, without persistence; gone with the daemon, even if that is killed.

#include <stdexcept>
#include <string>
#include <sys/types.h>

namespace holdfast::daemon {

class EmbeddedRedis {
public:
    // Starts the server and waits until it accepts. Throws std::runtime_error that says what to do.
    // From the main thread: the kernel ends the child when the thread that made it ends.
    EmbeddedRedis();
    // Ends the server and removes the directory.
    ~EmbeddedRedis();
    EmbeddedRedis(const EmbeddedRedis&) = delete;
    EmbeddedRedis& operator=(const EmbeddedRedis&) = delete;

    std::string url() const { return "unix://" + socket_; }
    pid_t pid() const { return pid_; }

private:
    void spawn();
    void wait_until_it_accepts();
    void remove() noexcept;

    std::string directory_;
    std::string socket_;
    std::string log_;
    pid_t pid_ = -1;
};

}  // namespace holdfast::daemon
