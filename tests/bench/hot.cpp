// One lock that all clients want, handed from one to the next; each Acquire waits for its turn.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "bench/servers.hpp"

#include <iostream>

namespace holdfast::bench {
namespace {

constexpr std::size_t kClients = 16;
constexpr double kOfRoundTrips = 0.6;
constexpr double kOfEtcd = 25;
constexpr double kInside = 10'000;

Subject hand_ons(const std::string& name, Holdfast& holdfast) {
    return {name, [&holdfast](auto time) {
                return run_load({this_program(),
                                 "load",
                                 "hot",
                                 holdfast.addresses(),
                                 std::to_string(kClients),
                                 std::to_string(time.count())},
                                holdfast.watched(),
                                "hand_on");
            }};
}

// Hand-ons in a second over those of a client and a Redis that do nothing else than one round trip
// for each, one after the other.
double of_round_trips(const Subject& hot, const Subject& echo, const Subject& redis) {
    const double seconds =
        1 / echo.highest(&Round::per_second) + 1 / redis.highest(&Round::per_second);
    return hot.highest(&Round::per_second) * seconds;
}

}  // namespace

void measure_hot() {
    EchoServer echo{"inline"};
    RawRedis raw;
    RawRedis inside;
    Holdfast one;
    Holdfast two{2};
    std::vector<Subject> subjects{
        {"round trip of an echo", [&](auto time) { return echo.run(1, time); }},
        {"round trip of an EVALSHA", [&](auto time) { return raw.run(1, time); }},
        hand_ons("hand-on, 1 daemon", one),
        hand_ons("hand-on, 2 daemons", two),
        {"hand-on without gRPC", [&](auto time) { return inside.run_inside(kClients, time); }}};
    std::unique_ptr<Etcd> etcd;
    if (Etcd::installed()) {
        etcd = std::make_unique<Etcd>();
        subjects.push_back(
            {"etcd v3lock", [&](auto time) { return etcd->run(kClients, 1, time); }});
    } else {
        std::cout << "etcd is not installed: no comparison (apt-get install etcd-server)\n\n";
    }
    run_rounds(subjects, 1500ms);
    show("ONE LOCK, 16 CLIENTS", subjects);
    Goals goals;
    goals.at_least("hand-ons/s of 1 / (echo + EVALSHA round trip), 1 daemon",
                   of_round_trips(subjects[2], subjects[0], subjects[1]),
                   kOfRoundTrips);
    goals.at_least("the same, 2 daemons",
                   of_round_trips(subjects[3], subjects[0], subjects[1]),
                   kOfRoundTrips);
    if (etcd) {
        goals.at_least(
            "hand-ons/s of etcd's, 1 daemon", speed_ratio(subjects[2], subjects[5]), kOfEtcd, 1);
    }
    goals.at_least("hand-ons/s inside the daemon and Redis",
                   subjects[4].highest(&Round::per_second),
                   kInside,
                   0);
    goals.at_most("scripts per hand-on, 1 daemon", subjects[2].median(&Round::scripts), 1.01, 3);
    goals.show();
}

}  // namespace holdfast::bench
