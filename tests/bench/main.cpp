// ./dev bench: Holdfast beside what it stands on, in one run, in ratios. Each server and each load
// is a process of its own; all share this machine. Rounds are interleaved; figures are
// medians, ratios and goals are of the best rounds.

#include "bench/echo_server.hpp"
#include "bench/loads.hpp"
#include "bench/scenarios.hpp"

#include <array>
#include <iomanip>
#include <iostream>
#include <stdexcept>

namespace holdfast::bench {
namespace {

using Words = std::vector<std::string>;

struct Scenario {
    const char* name;
    const char* help;
    void (*measure)();
};

constexpr std::array kScenarios{
    Scenario{"unary", "Acquire and Release beside an empty gRPC echo, and etcd", measure_unary},
    Scenario{"session", "batched operations beside pipelined EVALSHA", measure_session},
    Scenario{"hot", "one lock handed on: 1 daemon, 2 daemons, without gRPC, etcd", measure_hot},
    Scenario{"waiters", "100 to 100,000 waiters for one lock", measure_waiters},
    Scenario{"leases", "100,000 held leases renewed", measure_leases},
    Scenario{"topologies",
             "each topology beside one Redis, and when a node is killed",
             measure_topologies},
    Scenario{
        "durable", "grants that wait for a replica, beside those that do not", measure_durable},
};

struct Load {
    const char* name;
    void (*run)(const Words&);
};

// What scenarios start as processes of their own.
constexpr std::array kLoads{
    Load{"serve", serve_echo},
    Load{"echo", load_echo},
    Load{"etcd", load_etcd},
    Load{"hot", load_hot},
    Load{"session", load_session},
    Load{"waiters", load_waiters},
    Load{"leases", load_leases},
    Load{"redis", load_redis},
    Load{"inside", load_inside},
};

template <class Entries>
const auto& find(const Entries& entries, const std::string& name) {
    for (const auto& entry : entries) {
        if (entry.name == name) {
            return entry;
        }
    }
    throw std::runtime_error("no such thing: " + name + "; see bench --help");
}

void print_help() {
    std::cout << "usage: bench [NAME]...   measures all of these, or those named:\n\n";
    for (const Scenario& scenario : kScenarios) {
        std::cout << "  " << std::left << std::setw(10) << scenario.name << scenario.help << '\n';
    }
}

void main_with(const Words& words) {
    if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
        print_help();
    } else if (!words.empty() && words[0] == "load") {
        find(kLoads, words.at(1)).run({words.begin() + 2, words.end()});
    } else if (words.empty()) {
        for (const Scenario& scenario : kScenarios) {
            scenario.measure();
        }
    } else {
        for (const std::string& name : words) {
            find(kScenarios, name);  // all, before any
        }
        for (const std::string& name : words) {
            find(kScenarios, name).measure();
        }
    }
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
    try {
        holdfast::bench::main_with({argv + 1, argv + argc});
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench: " << error.what() << '\n';
        return 1;
    }
}
