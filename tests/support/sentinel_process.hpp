#pragma once

// A redis-server of a test's own that runs as Sentinel, on a TCP port of 127.0.0.1.

#include "support/process.hpp"

#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

class SentinelProcess {
public:
    // Where its own connections come from: not from 127.0.0.1, so that a gate can tell them from others.
    static constexpr const char* kFrom = "127.0.0.2";

    // `config`: more lines for its configuration. Returns when it answers.
    explicit SentinelProcess(std::vector<std::string> config, int port = free_port());

    int port() const { return port_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    Process& process() { return *process_; }
    std::string log() const { return read_file(directory_.file("log")); }
    // See RedisProcess.
    std::string run(const std::vector<std::string>& arguments) const;

private:
    TempDir directory_;
    int port_;
    std::unique_ptr<Process> process_;
};

}  // namespace holdfast::test
