#pragma once

// What all scenarios measure with: loads in processes of their own, and what they cost whom. CPU
// and memory are the kernel's figures of the processes, commands and their time are Redis' own.

#include "e2e/fixture.hpp"
#include "support/redis_process.hpp"

#include <boost/json/value.hpp>

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace holdfast::bench {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::milliseconds;

// What one load on one server came to.
struct Round {
    double per_second = 0;
    double p50_us = 0;
    double p99_us = 0;
    double client_cpu_us = 0;  // per call, as are the next ones
    double server_cpu_us = 0;
    double redis_cpu_us = 0;
    double scripts = 0;    // run by Redis
    double writes = 0;     // by the daemons to Redis
    double script_us = 0;  // of each script, in Redis' own figures
};

// Who is looked at while a load runs.
struct Watched {
    std::vector<pid_t> servers;
    std::vector<const e2e::Daemon*> daemons;  // of the servers, those that are Holdfast's
    test::RedisProcess* redis = nullptr;
};

// What they have used since they started.
struct Usage {
    double server_cpu_s = 0;
    double redis_cpu_s = 0;
    double scripts = 0;
    double script_us = 0;  // of all together
    double writes = 0;
};
Usage usage_of(const Watched& watched);
Usage operator-(const Usage& later, const Usage& earlier);

double resident_bytes(pid_t pid);
double metric(const e2e::Daemon& daemon, const std::string& name);

std::string this_program();

// The JSON that a load has printed.
boost::json::value report_of(const std::string& output);

// Runs a load to its end. `calls`: which of its kinds of calls count; empty: all.
Round run_load(const std::vector<std::string>& command,
               const Watched& watched,
               const std::string& calls = "");

// A load with steps: it prints READY before each of them, and waits to be told to go on.
class SteppedLoad {
public:
    explicit SteppedLoad(const std::vector<std::string>& command);

    // Before its nth step.
    void wait_ready(std::size_t nth);
    void go();
    bool running() { return process_.running(); }
    boost::json::value finish();

private:
    std::string output() const { return test::read_file(directory_.file("out")); }

    test::TempDir directory_;
    test::Process process_;
};

}  // namespace holdfast::bench
