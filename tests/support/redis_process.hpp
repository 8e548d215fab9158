#pragma once

// A redis-server of a test's own, on a Unix socket and a TCP port of 127.0.0.1.

#include "support/process.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

// Runs a command at a TCP port of 127.0.0.1, as RedisProcess::run().
std::string run_redis(int port, const std::vector<std::string>& arguments);

class RedisProcess {
public:
    // `extra`: more arguments for redis-server. Returns when it answers.
    explicit RedisProcess(std::vector<std::string> extra = {},
                          std::map<std::string, std::string> environment = {});

    const std::string& socket() const { return socket_; }
    std::string url() const { return "unix://" + socket_; }
    int port() const { return port_; }
    std::string log() const { return read_file(directory_.file("redis.log")); }
    Process& process() { return *process_; }

    // Kills it and starts it anew, empty, at the same addresses.
    void restart_empty();

    // Runs a command over a connection of its own and gives the reply as text: a string or status
    // as it is, an integer in decimal, a nil as "(nil)", an array one element a line, an error as
    // it is.
    std::string run(const std::vector<std::string>& arguments) const;

private:
    void start();

    TempDir directory_;
    std::vector<std::string> extra_;
    std::map<std::string, std::string> environment_;
    std::string socket_;
    int port_;
    std::unique_ptr<Process> process_;
};

}  // namespace holdfast::test
