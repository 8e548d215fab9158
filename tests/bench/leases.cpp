// Very many held leases that the daemon renews, while nothing else goes on.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "bench/servers.hpp"
#include "cli/text.hpp"

#include <iostream>
#include <thread>

namespace holdfast::bench {
namespace {

constexpr std::size_t kLeases = 100'000;
constexpr Milliseconds kWindow{10'500};  // each is renewed at a third of the ttl of 30 s, or before
constexpr double kTtlSeconds = 30;
constexpr double kGoalTtlSeconds = 60;

struct Held {
    double daemon_cores = 0;
    double redis_cores = 0;
    double renewals = 0;   // in a second
    double scripts = 0;    // for each renewal
    double script_us = 0;  // for each renewal
    double bytes = 0;      // of the daemon, for each lease
    double redis_bytes = 0;
};

double renewals_of(const e2e::Daemon& daemon) {
    return metric(daemon, "holdfast_renewals_total{result=\"confirmed\"}");
}

Held measure(const std::string& how) {
    Holdfast holdfast{1,
                      {{"HOLDFAST_LIMITS_MAX_SESSION_OPERATIONS", "200000"},
                       {"HOLDFAST_LIMITS_MAX_SESSION_LEASES", "200000"}}};
    const pid_t daemon = holdfast.daemon().process().pid();
    const pid_t redis = holdfast.redis().process().pid();
    const Watched watched = holdfast.watched();
    const double bytes = resident_bytes(daemon);
    const double redis_bytes = resident_bytes(redis);
    SteppedLoad load{{this_program(),
                      "load",
                      "leases",
                      holdfast.daemon().address(),
                      how,
                      std::to_string(kLeases)}};
    load.wait_ready(1);
    Held held;
    held.bytes = (resident_bytes(daemon) - bytes) / kLeases;
    held.redis_bytes = (resident_bytes(redis) - redis_bytes) / kLeases;
    const Usage before = usage_of(watched);
    const double renewals_before = renewals_of(holdfast.daemon());
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(kWindow);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const Usage used = usage_of(watched) - before;
    const double renewals = renewals_of(holdfast.daemon()) - renewals_before;
    held.daemon_cores = used.server_cpu_s / elapsed.count();
    held.redis_cores = used.redis_cpu_s / elapsed.count();
    held.renewals = renewals / elapsed.count();
    held.scripts = used.scripts / renewals;
    held.script_us = used.script_us / renewals;
    if (!load.running() || metric(holdfast.daemon(), "holdfast_leases") < kLeases) {
        throw std::runtime_error("leases were lost");
    }
    return held;
}

}  // namespace

void measure_leases() {
    std::vector<std::vector<std::string>> rows{{"100000 LEASES, TTL 30 S",
                                                "RENEWALS/S",
                                                "SCRIPTS/RENEWAL",
                                                "REDIS US/RENEWAL",
                                                "CORES: DAEMON",
                                                "REDIS",
                                                "BYTES: DAEMON",
                                                "REDIS"}};
    Goals goals;
    // So many more leases, but each so much more seldom.
    const double scale = 1e6 / kLeases * kTtlSeconds / kGoalTtlSeconds;
    for (const std::string how : {"max_hold", "session"}) {
        const Held held = measure(how);
        rows.push_back({"by " + how,
                        number(held.renewals, 0),
                        number(held.scripts, 4),
                        number(held.script_us, 1),
                        number(held.daemon_cores, 3),
                        number(held.redis_cores, 3),
                        number(held.bytes, 0),
                        number(held.redis_bytes, 0)});
        const std::string by = ", by " + how;
        goals.at_most("cores for 1,000,000 at ttl 60 s" + by, held.daemon_cores * scale, 1);
        goals.at_most("scripts per renewal" + by, held.scripts, 0.01, 4);
        goals.at_most("bytes per lease" + by, held.bytes, 400, 0);
    }
    std::cout << cli::show_table(rows) << std::endl;
    goals.show();
}

}  // namespace holdfast::bench
