#include "daemon/pages.hpp"

#include "holdfast/version.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

namespace holdfast::daemon {
namespace {

constexpr unsigned kUnavailable = 503;

double number(std::uint64_t value) {
    return static_cast<double>(value);
}

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

void add(ShardReport& total, const ShardReport& shard) {
    total.locks.leases += shard.locks.leases;
    total.locks.waiting += shard.locks.waiting;
    total.locks.reaping += shard.locks.reaping;
    total.locks.not_reaped += shard.locks.not_reaped;
    total.locks.renewals.calls += shard.locks.renewals.calls;
    total.locks.renewals.confirmed += shard.locks.renewals.confirmed;
    total.locks.renewals.unanswered += shard.locks.renewals.unanswered;
    total.locks.renewals.lost += shard.locks.renewals.lost;
    total.events.at_risk += shard.events.at_risk;
    total.events.recovered += shard.events.recovered;
    total.events.taken += shard.events.taken;
    total.events.expired += shard.events.expired;
    total.events.unknown += shard.events.unknown;
    total.store += shard.store;
    total.waits += shard.waits;
    // All shards see the same clock.
    total.clock_set.forward = std::max(total.clock_set.forward, shard.clock_set.forward);
    total.clock_set.backward = std::max(total.clock_set.backward, shard.clock_set.backward);
    total.clock_offset = shard.clock_offset ? shard.clock_offset : total.clock_offset;
    total.primary_moves = std::max(total.primary_moves, shard.primary_moves);  // each hears of all
}

void scrape_locks(const core::LockManager::Counts& locks, admin::Scrape& scrape) {
    scrape.gauge("holdfast_leases",
                 "leases that this daemon granted or renewed and that have not ended",
                 number(locks.leases));
    scrape.gauge("holdfast_acquires_pending", "acquires not answered yet", number(locks.waiting));
    scrape.gauge("holdfast_cleanups_pending",
                 "commands of unknown outcome that are being undone",
                 number(locks.reaping));
    scrape.counter("holdfast_cleanups_dropped_total",
                   "commands of unknown outcome left to end by their ttl: too many at once",
                   number(locks.not_reaped));
    scrape.counter("holdfast_renewal_calls_total",
                   "calls to Redis by the watchdog, each with one or more renewals",
                   number(locks.renewals.calls));
    const char* name = "holdfast_renewals_total";
    const char* help = "renewals by the watchdog";
    scrape.counter(name, help, number(locks.renewals.confirmed), {{"result", "confirmed"}});
    scrape.counter(name, help, number(locks.renewals.unanswered), {{"result", "unanswered"}});
    scrape.counter(name, help, number(locks.renewals.lost), {{"result", "lost"}});
}

void scrape_events(const LogObserver::Totals& events, admin::Scrape& scrape) {
    scrape.counter("holdfast_leases_at_risk_total",
                   "leases of which a renewal failed",
                   number(events.at_risk));
    scrape.counter("holdfast_leases_recovered_total",
                   "leases at risk that were renewed after all",
                   number(events.recovered));
    const char* help = "watched leases that were lost";
    scrape.counter("holdfast_leases_lost_total", help, number(events.taken), {{"cause", "taken"}});
    scrape.counter(
        "holdfast_leases_lost_total", help, number(events.expired), {{"cause", "deadline"}});
    scrape.counter("holdfast_unknown_outcomes_total",
                   "grants and releases whose answer from Redis was lost",
                   number(events.unknown));
}

void scrape_store(const redis::Pool::Status& store, admin::Scrape& scrape) {
    using redis::Latencies;
    scrape.gauge("holdfast_redis_connections", "connections that are up", number(store.up));
    scrape.gauge("holdfast_redis_commands_in_flight",
                 "commands sent or about to be, without a reply",
                 number(store.in_flight));
    scrape.counter(
        "holdfast_redis_connects_total", "connections made", number(store.connections.connects));
    scrape.counter("holdfast_redis_failed_connects_total",
                   "tries to connect that failed",
                   number(store.connections.failed_connects));
    scrape.counter("holdfast_redis_protocol_errors_total",
                   "connections closed because what came was not RESP",
                   number(store.connections.protocol_errors));
    scrape.counter("holdfast_redis_writes_total",
                   "writes to sockets, each with one or more commands",
                   number(store.connections.writes));
    scrape.counter(
        "holdfast_redis_commands_total", "commands taken", number(store.commands.commands));
    scrape.counter("holdfast_redis_timeouts_total",
                   "commands that got no reply in time",
                   number(store.commands.timeouts));
    scrape.counter("holdfast_redis_late_replies_total",
                   "replies that came after their command's timeout",
                   number(store.commands.late_replies));
    scrape.counter("holdfast_redis_refused_total",
                   "commands refused because too many were in flight",
                   number(store.commands.refused));
    std::array<double, Latencies::kBounds.size()> bounds{};
    std::transform(Latencies::kBounds.begin(), Latencies::kBounds.end(), bounds.begin(), seconds);
    const Latencies& latencies = store.commands.latencies;
    scrape.histogram("holdfast_redis_command_duration_seconds",
                     "from a command's being handed to the connection to its reply",
                     bounds,
                     latencies.counts,
                     seconds(latencies.total));
}

void scrape_waits(const store::Replication::Counters& waits, admin::Scrape& scrape) {
    scrape.counter("holdfast_store_waits_total",
                   "WAITs for replicas, each for one or more grants or renewals",
                   number(waits.waits));
    scrape.counter("holdfast_store_wait_seconds_total",
                   "time that WAITs for replicas took, all together",
                   seconds(waits.waited));
    const char* name = "holdfast_store_waited_writes_total";
    const char* help = "commands that were waited for, by whether enough replicas acknowledged";
    scrape.counter(name, help, number(waits.asked - waits.too_few), {{"result", "enough"}});
    scrape.counter(name, help, number(waits.too_few), {{"result", "too_few"}});
}

void scrape_clock(const ShardReport& total, admin::Scrape& scrape) {
    const char* name = "holdfast_store_clock_steps_total";
    const char* help = "times that the clock of Redis was set, against the clock of this machine";
    scrape.counter(name, help, number(total.clock_set.forward), {{"direction", "forward"}});
    scrape.counter(name, help, number(total.clock_set.backward), {{"direction", "backward"}});
    if (total.clock_offset) {
        scrape.gauge("holdfast_store_clock_offset_seconds",
                     "the clock of Redis less this machine's; no lock depends on it",
                     std::chrono::duration<double>(*total.clock_offset).count());
    }
}

void scrape_checks(const std::vector<Check>& checks, admin::Scrape& scrape) {
    for (const Check& check : checks) {
        scrape.gauge("holdfast_store_check",
                     "what Redis says of itself: 0 fine, 1 a warning, 2 nothing is granted for it",
                     static_cast<double>(check.severity),
                     {{"check", check.name}});
    }
}

admin::Page alive(const Survey& survey) {
    const auto reports = survey();
    admin::Page page;
    for (std::size_t i = 0; i < reports.size(); ++i) {
        if (!reports[i]) {
            page.status = kUnavailable;
            page.body += "the thread of shard " + std::to_string(i) + " does not answer\n";
        }
    }
    if (page.body.empty()) {
        page.body = "alive\n";
    }
    return page;
}

admin::Page ready(const Readiness& readiness) {
    admin::Page page{200, ""};
    for (const std::string& reason : readiness.reasons()) {
        page.status = kUnavailable;
        page.body += "not ready: " + reason + "\n";
    }
    if (page.body.empty()) {
        page.body = "ready\n";
    }
    for (const std::string& warning : readiness.warnings()) {
        page.body += "warning: " + warning + "\n";
    }
    return page;
}

void scrape(const Readiness& readiness, const Survey& survey, admin::Scrape& scrape) {
    ShardReport total;
    double silent = 0;
    for (const auto& report : survey()) {
        if (report) {
            add(total, *report);
        } else {
            ++silent;
        }
    }
    scrape.gauge("holdfast_build_info",
                 "1; the version is in the labels",
                 1,
                 {{"version", std::string{kVersion}}, {"commit", std::string{kCommit}}});
    scrape.gauge(
        "holdfast_ready", "1 if calls are served, else 0", readiness.now().serves() ? 1 : 0);
    scrape.gauge("holdfast_shards_silent",
                 "shards whose thread does not answer; their figures are missing here",
                 silent);
    scrape_locks(total.locks, scrape);
    scrape_events(total.events, scrape);
    scrape_store(total.store, scrape);
    scrape_waits(total.waits, scrape);
    scrape_clock(total, scrape);
    scrape_checks(readiness.checks(), scrape);
    scrape.counter("holdfast_redis_primary_moves_total",
                   "times that another primary was named, by Sentinels or a Cluster",
                   number(total.primary_moves));
}

}  // namespace

admin::Pages make_pages(const Readiness& readiness, const admin::Metrics& metrics, Survey survey) {
    return {{"/livez", [survey] { return alive(survey); }},
            {"/readyz", [&readiness] { return ready(readiness); }},
            {"/metrics", [&readiness, &metrics, survey] {
                 return admin::Page{
                     200,
                     metrics.text([&](admin::Scrape& into) { scrape(readiness, survey, into); }),
                     admin::Metrics::kContentType};
             }}};
}

}  // namespace holdfast::daemon
