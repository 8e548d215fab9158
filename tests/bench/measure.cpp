#include "bench/measure.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace holdfast::bench {
namespace {

constexpr auto kSetUp = 90s;  // 100,000 of anything, on a busy machine
constexpr auto kToEnd = 60s;

double cpu_seconds(pid_t pid) {
    std::istringstream stat{test::read_file("/proc/" + std::to_string(pid) + "/stat")};
    std::string skipped;
    std::getline(stat, skipped, ')');
    for (int i = 0; i < 11; ++i) {
        stat >> skipped;
    }
    double user = 0;
    double system = 0;
    stat >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// The number behind `key` in a line of INFO; 0 without one.
double number_after(const std::string& line, const std::string& key) {
    const auto at = line.find(key);
    return at == std::string::npos ? 0 : std::stod(line.substr(at + key.size()));
}

}  // namespace

Usage usage_of(const Watched& watched) {
    Usage usage;
    for (const pid_t server : watched.servers) {
        usage.server_cpu_s += cpu_seconds(server);
    }
    for (const e2e::Daemon* daemon : watched.daemons) {
        usage.writes += metric(*daemon, "holdfast_redis_writes_total");
    }
    if (watched.redis != nullptr) {
        usage.redis_cpu_s = cpu_seconds(watched.redis->process().pid());
        std::istringstream lines{watched.redis->run({"INFO", "commandstats"})};
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("cmdstat_eval")) {  // and evalsha
                usage.scripts += number_after(line, "calls=");
                usage.script_us += number_after(line, "usec=");
            }
        }
    }
    return usage;
}

Usage operator-(const Usage& later, const Usage& earlier) {
    return {later.server_cpu_s - earlier.server_cpu_s,
            later.redis_cpu_s - earlier.redis_cpu_s,
            later.scripts - earlier.scripts,
            later.script_us - earlier.script_us,
            later.writes - earlier.writes};
}

double resident_bytes(pid_t pid) {
    std::istringstream statm{test::read_file("/proc/" + std::to_string(pid) + "/statm")};
    double total = 0;
    double resident = 0;
    statm >> total >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double metric(const e2e::Daemon& daemon, const std::string& name) {
    const double value = daemon.sample(name);
    if (value < 0) {
        throw std::runtime_error("/metrics has no " + name);
    }
    return value;
}

std::string this_program() {
    return std::filesystem::read_symlink("/proc/self/exe").string();
}

boost::json::value report_of(const std::string& output) {
    const auto at = output.find("{\"calls\"");
    if (at == std::string::npos) {
        throw std::runtime_error("a load failed: " + output);
    }
    return boost::json::parse(output.substr(at));
}

Round run_load(const std::vector<std::string>& command,
               const Watched& watched,
               const std::string& calls) {
    const Usage before = usage_of(watched);
    const e2e::Outcome outcome = e2e::run_program(command);
    const Usage used = usage_of(watched) - before;
    if (outcome.code != 0) {
        throw std::runtime_error(command.front() + " failed: " + outcome.output);
    }
    const boost::json::value json = report_of(outcome.output);
    double count = 0;
    Round round;
    for (const auto& [kind, figures] : json.at("by_call").as_object()) {
        if (calls.empty() || calls == kind) {
            count += figures.at("calls").to_number<double>();
            round.p50_us = std::max(round.p50_us, figures.at("p50_us").to_number<double>());
            round.p99_us = std::max(round.p99_us, figures.at("p99_us").to_number<double>());
        }
    }
    round.per_second = count / json.at("seconds").to_number<double>();
    round.client_cpu_us = json.at("client_cpu_seconds").to_number<double>() / count * 1e6;
    round.server_cpu_us = used.server_cpu_s / count * 1e6;
    round.redis_cpu_us = used.redis_cpu_s / count * 1e6;
    round.scripts = used.scripts / count;
    round.writes = used.writes / count;
    round.script_us = used.scripts > 0 ? used.script_us / used.scripts : 0;
    return round;
}

SteppedLoad::SteppedLoad(const std::vector<std::string>& command)
    : process_(command, directory_.file("out")) {}

void SteppedLoad::wait_ready(std::size_t nth) {
    const auto ready = [&] {
        std::size_t times = 0;
        const std::string text = output();
        for (std::size_t at = 0; (at = text.find("READY\n", at)) != std::string::npos; ++at) {
            ++times;
        }
        return times >= nth;
    };
    if (!test::eventually([&] { return ready() || !process_.running(); }, kSetUp) || !ready()) {
        throw std::runtime_error("a load was not ready: " + output());
    }
}

void SteppedLoad::go() {
    process_.signal(SIGUSR1);
}

boost::json::value SteppedLoad::finish() {
    if (process_.wait(kToEnd) != 0) {
        throw std::runtime_error("a load failed: " + output());
    }
    return report_of(output());
}

}  // namespace holdfast::bench
