// Unary Acquire and Release in turn, each client its own lock, all on one connection.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "bench/servers.hpp"

#include <iostream>
#include <thread>

namespace holdfast::bench {
namespace {

constexpr double kOfEcho = 0.7;
constexpr double kFloorOfEcho = 0.55;
constexpr double kCpuOfEcho = 1.5;
constexpr double kMostCpuOfEcho = 1.7;

std::vector<Subject> beside_echo(std::size_t clients, Milliseconds duration) {
    static EchoServer echo{"inline"};
    static EchoServer hop{"hop"};
    static Holdfast holdfast;
    std::vector<Subject> subjects{
        {"echo", [=](auto time) { return echo.run(clients, time); }},
        {"echo with a hop", [=](auto time) { return hop.run(clients, time); }},
        {"holdfast", [=](auto time) { return holdfast.run_unary(clients, time); }}};
    run_rounds(subjects, duration);
    show("UNARY, " + std::to_string(clients) + (clients == 1 ? " CLIENT" : " CLIENTS"), subjects);
    return subjects;
}

void beside_etcd() {
    if (!Etcd::installed()) {
        std::cout << "etcd is not installed: no comparison (apt-get install etcd-server)\n\n";
        return;
    }
    constexpr std::size_t kClients = 64;
    Etcd etcd;
    Holdfast holdfast;
    std::vector<Subject> subjects{
        {"etcd v3lock", [&](auto time) { return etcd.run(kClients, 0, time); }},
        {"holdfast", [&](auto time) { return holdfast.run_unary(kClients, time); }}};
    run_rounds(subjects, 1s);
    show("UNARY, 64 CLIENTS", subjects);
}

// What the CPU per call allows: client, daemon and Redis share this machine.
void show_bound(const Subject& holdfast, const Subject& echo) {
    const double others =
        holdfast.lowest(&Round::client_cpu_us) + holdfast.lowest(&Round::redis_cpu_us);
    const auto bound = [&](double server) {
        const double cores = std::thread::hardware_concurrency();
        return number(cores * 1e6 / (others + server) / echo.highest(&Round::per_second), 2);
    };
    std::cout << "calls/s of the echo's, 64 clients, if no core ever idled: "
              << bound(holdfast.lowest(&Round::server_cpu_us))
              << "; with a daemon that costs no more than the echo: "
              << bound(echo.lowest(&Round::server_cpu_us)) << "\n\n";
}

}  // namespace

void measure_unary() {
    const auto many = beside_echo(64, 2s);
    show_bound(many.back(), many.front());
    beside_echo(16, 1s);
    beside_echo(1, 1s);
    beside_etcd();
    Goals goals;
    const double speed = speed_ratio(many.back(), many.front());
    goals.at_least("calls/s of the echo's, 64 clients", speed, kOfEcho);
    goals.at_least("its floor", speed, kFloorOfEcho);
    const double cpu = cpu_ratio(many.back(), many.front());
    goals.at_most("daemon's CPU per call, of the echo's", cpu, kCpuOfEcho);
    goals.at_most("its ceiling", cpu, kMostCpuOfEcho);
    goals.at_most("scripts per call", many.back().median(&Round::scripts), 1.01, 3);
    goals.show();
}

}  // namespace holdfast::bench
