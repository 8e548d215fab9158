// What it costs to wait for replicas: the same load on one primary with a local replica, whose link has no
// delay. So this is the price of the machine's work; a network's way to the replica and back comes on top,
// once for each grant.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "support/redis_pair.hpp"

#include <iostream>

namespace holdfast::bench {
namespace {

using Environment = std::map<std::string, std::string>;

// A daemon on the pair, and how its load is made.
struct Side {
    Side(test::RedisPair& on, const Environment& environment, std::string replicas)
        : pair(on),
          daemon({"--store", on.primary.url(), "--log-level", "warn"}, environment),
          asked(std::move(replicas)) {}

    Round run(std::size_t clients, Milliseconds duration) {
        return run_load({test::program("holdfast"),
                         "--server",
                         daemon.address(),
                         "-o",
                         "json",
                         "bench",
                         "--replicas",
                         asked,
                         "--clients",
                         std::to_string(clients),
                         "--duration",
                         std::to_string(duration.count()) + "ms"},
                        {{daemon.process().pid()}, {&daemon}, &pair.primary});
    }
    double waits() const { return metric(daemon, "holdfast_store_waits_total"); }
    double waited() const {
        return metric(daemon, "holdfast_store_waited_writes_total{result=\"enough\"}");
    }

    test::RedisPair& pair;
    e2e::Daemon daemon;
    std::string asked;  // replicas of each grant
};

}  // namespace

void measure_durable() {
    test::RedisPair pair;
    Side plain{pair, {}, "0"};
    Side replicated{pair, {}, "1"};
    Side strict{pair, {{"HOLDFAST_STORE_SAFETY", "strict"}, {"HOLDFAST_STORE_REPLICAS", "1"}}, "0"};
    Goals goals;
    for (const std::size_t clients : {64U, 1U}) {
        std::vector<Subject> subjects{
            {"plain", [&](auto time) { return plain.run(clients, time); }},
            {"REPLICATED(1)", [&](auto time) { return replicated.run(clients, time); }},
            {"strict, 1 replica", [&](auto time) { return strict.run(clients, time); }}};
        run_rounds(subjects, 2s);
        const std::string of = std::to_string(clients) + (clients == 1 ? " CLIENT" : " CLIENTS");
        show("A PRIMARY AND A REPLICA, " + of, subjects);
        if (clients > 1) {
            goals.at_least("grants for each WAIT, 64 clients, REPLICATED(1)",
                           replicated.waited() / replicated.waits(),
                           2,
                           1);
            goals.at_least("calls/s of plain's, 64 clients, REPLICATED(1)",
                           speed_ratio(subjects[1], subjects[0]),
                           0.5);
        }
    }
    goals.show();
}

}  // namespace holdfast::bench
