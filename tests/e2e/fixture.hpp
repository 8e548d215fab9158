#pragma once

// The built programs, as a user runs them: daemons on free ports, clients over gRPC.

#include "google/rpc/error_details.pb.h"
#include "holdfast/v1/lock_service.grpc.pb.h"
#include "support/paths.hpp"
#include "support/redis_process.hpp"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::e2e {

namespace pb = ::holdfast::v1;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using test::eventually;
using test::program;

// For a daemon that serves soon after its store has lost its memory: in 1.12 s.
std::map<std::string, std::string> short_memory();

// holdfastd on ports of its own. A store that is given counts as new (--assume-new-store), unless the
// environment has HOLDFAST_STORE_ASSUME_NEW.
class Daemon {
public:
    // With `arguments` besides --listen. Waits until it serves, unless told otherwise.
    explicit Daemon(std::vector<std::string> arguments,
                    const std::map<std::string, std::string>& environment = {},
                    bool wait = true);
    ~Daemon();  // a daemon that has crashed fails the test, with its log

    // SIGKILL, and anew at the same addresses. Does not wait until it serves.
    void kill_and_restart();

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    int port() const { return port_; }
    int http_port() const { return http_port_; }
    test::Process& process() { return *process_; }
    std::string log() const { return test::read_file(directory_.file("log")); }
    // By grpc.health.v1.
    bool serving() const;
    bool wait_serving(bool wanted = true) const;
    // A sample of /metrics, by its name with labels as it is printed; -1 if it is not there.
    double sample(const std::string& name) const;

private:
    void start();

    test::TempDir directory_;
    int port_;
    int http_port_;
    std::vector<std::string> command_line_;
    std::map<std::string, std::string> environment_;
    std::unique_ptr<test::Process> process_;
};

// What a call brought, with the reason out of the status' details.
struct Answer {
    grpc::Status status;
    std::string reason;
    std::string field;
    std::map<std::string, std::string> metadata;
    bool ok() const { return status.ok(); }
};

// One client with a connection of its own.
class Client {
public:
    explicit Client(const std::string& address);

    static pb::AcquireRequest request(const std::string& name,
                                      std::chrono::milliseconds ttl = 10s,
                                      std::chrono::milliseconds wait = 0ms);

    Answer acquire(const pb::AcquireRequest& request, std::chrono::milliseconds timeout = 30s);
    Answer acquire(const std::string& name,
                   std::chrono::milliseconds ttl = 10s,
                   std::chrono::milliseconds wait = 0ms) {
        return acquire(request(name, ttl, wait));
    }
    Answer release(const std::string& lease_id);
    Answer renew(const std::string& lease_id, std::chrono::milliseconds ttl = 10s);
    Answer get(const std::string& name);

    // Of the last call that succeeded.
    pb::Lease lease;
    pb::ReleaseResponse released;
    pb::LockState lock;
    Steady::time_point sent_at;  // of the last acquire or renew

    // Until when the last lease may be believed.
    Steady::time_point believe_until() const {
        return sent_at + std::chrono::milliseconds{lease.elapsed_ms() + lease.safe_for_ms()};
    }
    pb::LockService::Stub& stub() { return *stub_; }
    const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

private:
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<pb::LockService::Stub> stub_;
};

// The answer of an HTTP server of 127.0.0.1 to `request`, until it closes: status line, headers,
// body.
std::string http(int port, const std::string& request);
inline std::string http_get(int port, const std::string& path) {
    return http(port, "GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
}

Answer answer_of(const grpc::Status& status);

// Runs a program to its end.
struct Outcome {
    int code = -1;
    std::string output;
};
Outcome run_program(const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& environment = {});

}  // namespace holdfast::e2e
