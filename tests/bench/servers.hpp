#pragma once

// The servers that loads are run on, each a process of its own, over loopback.

#include "bench/measure.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::bench {

class EchoServer {
public:
    explicit EchoServer(const std::string& path);  // inline or hop

    Round run(std::size_t clients, Milliseconds duration);

private:
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

    int port_;
    test::Process process_;
};

// Daemons on one Redis, over its Unix socket, as one deploys them on one machine.
class Holdfast {
public:
    explicit Holdfast(std::size_t daemons = 1,
                      const std::map<std::string, std::string>& environment = {});

    std::string addresses() const;  // with commas between
    e2e::Daemon& daemon() { return *daemons_.front(); }
    test::RedisProcess& redis() { return redis_; }
    Watched watched();

    // `holdfast bench`; each client its own lock.
    Round run_unary(std::size_t clients, Milliseconds duration);

private:
    test::RedisProcess redis_;
    std::vector<std::unique_ptr<e2e::Daemon>> daemons_;
};

// Redis alone, loaded with the same scripts.
class RawRedis {
public:
    // Acquire and release in turn; each of `slots` its own lock, pipelined on one connection.
    Round run(std::size_t slots, Milliseconds duration);
    // LockManager and store in one process, without gRPC: one lock handed on among `waiters`.
    Round run_inside(std::size_t waiters, Milliseconds duration);

private:
    test::RedisProcess redis_;
};

class Etcd {
public:
    static bool installed();

    Etcd();
    // `locks`: that the clients contend for; 0: each its own.
    Round run(std::size_t clients, std::size_t locks, Milliseconds duration);

private:
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

    test::TempDir directory_;
    int port_;
    test::Process process_;
};

}  // namespace holdfast::bench
