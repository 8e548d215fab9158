// ./dev bench: Holdfast beside what it stands on, in one run, in ratios. Each server and each load is
// a process of its own; all share this machine. Rounds are interleaved, and the median is printed.

#include "bench/echo_server.hpp"
#include "bench/loads.hpp"
#include "cli/text.hpp"
#include "e2e/fixture.hpp"
#include "store/lua_scripts.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::milliseconds;

constexpr int kRounds = 3;
constexpr std::size_t kClients = 64;

// What one load on one server came to.
struct Round {
    double per_second = 0;
    double p50_us = 0;
    double p99_us = 0;
    double client_cpu_us = 0;  // per call, as are the next ones
    double server_cpu_us = 0;
    double redis_cpu_us = 0;
    double commands = 0;  // to Redis
    double writes = 0;    // by the daemon to Redis
};

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

double sample(int http_port, const std::string& name) {
    const std::string page = "\n" + e2e::http_get(http_port, "/metrics");
    const auto at = page.find("\n" + name + " ");
    if (at == std::string::npos) {
        throw std::runtime_error("/metrics has no " + name);
    }
    return std::stod(page.substr(at + name.size() + 2));
}

// Runs a load to its end and reads its JSON.
Round run_load(const std::vector<std::string>& command, pid_t server, pid_t redis, int http_port) {
    const auto metric = [&](const char* name) {
        return http_port > 0 ? sample(http_port, name) : 0;
    };
    const double server_before = cpu_seconds(server);
    const double redis_before = redis > 0 ? cpu_seconds(redis) : 0;
    const double commands_before = metric("holdfast_redis_commands_total");
    const double writes_before = metric("holdfast_redis_writes_total");
    const e2e::Outcome outcome = e2e::run_program(command);
    if (outcome.code != 0) {
        throw std::runtime_error(command.front() + " failed: " + outcome.output);
    }
    const boost::json::value json = boost::json::parse(outcome.output);
    const double calls = json.at("calls").to_number<double>();
    Round round;
    round.per_second = json.at("per_second").to_number<double>();
    round.client_cpu_us = json.at("client_cpu_seconds").to_number<double>() / calls * 1e6;
    for (const auto& [kind, figures] : json.at("by_call").as_object()) {
        round.p50_us = std::max(round.p50_us, figures.at("p50_us").to_number<double>());
        round.p99_us = std::max(round.p99_us, figures.at("p99_us").to_number<double>());
    }
    round.server_cpu_us = (cpu_seconds(server) - server_before) / calls * 1e6;
    round.redis_cpu_us = redis > 0 ? (cpu_seconds(redis) - redis_before) / calls * 1e6 : 0;
    round.commands = (metric("holdfast_redis_commands_total") - commands_before) / calls;
    round.writes = (metric("holdfast_redis_writes_total") - writes_before) / calls;
    return round;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

Round median(const std::vector<Round>& rounds) {
    const auto of = [&](double Round::*figure) {
        std::vector<double> values;
        for (const Round& round : rounds) {
            values.push_back(round.*figure);
        }
        return median(values);
    };
    return {of(&Round::per_second),
            of(&Round::p50_us),
            of(&Round::p99_us),
            of(&Round::client_cpu_us),
            of(&Round::server_cpu_us),
            of(&Round::redis_cpu_us),
            of(&Round::commands),
            of(&Round::writes)};
}

// What is measured, in the order of the rounds.
struct Subject {
    std::string name;
    std::function<Round(std::size_t clients, Milliseconds duration)> run;
    std::vector<Round> rounds{};
};

std::string number(double value, int digits) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

// Runs all subjects in turn, several times; the first is the one that the others are compared with.
void compare(const std::string& title,
             std::vector<Subject> subjects,
             std::size_t clients,
             Milliseconds duration) {
    for (Subject& subject : subjects) {
        subject.run(clients, 500ms);  // warms up
    }
    for (int i = 0; i < kRounds; ++i) {
        for (Subject& subject : subjects) {
            subject.rounds.push_back(subject.run(clients, duration));
        }
    }
    std::vector<std::vector<std::string>> rows{{title,
                                                "CALLS/S",
                                                "RATIO",
                                                "P50 US",
                                                "P99 US",
                                                "CPU US/CALL: SERVER",
                                                "RATIO",
                                                "REDIS",
                                                "CLIENT",
                                                "COMMANDS/CALL",
                                                "WRITES/COMMAND"}};
    for (const Subject& subject : subjects) {
        // The ratio of each round, so that the machine's mood falls out.
        std::vector<double> speed;
        std::vector<double> cpu;
        for (std::size_t i = 0; i < subject.rounds.size(); ++i) {
            speed.push_back(subject.rounds[i].per_second / subjects[0].rounds[i].per_second);
            cpu.push_back(subject.rounds[i].server_cpu_us / subjects[0].rounds[i].server_cpu_us);
        }
        const Round round = median(subject.rounds);
        const bool redis = round.redis_cpu_us > 0;
        rows.push_back({subject.name,
                        number(round.per_second, 0),
                        number(median(speed), 2),
                        number(round.p50_us, 0),
                        number(round.p99_us, 0),
                        number(round.server_cpu_us, 1),
                        number(median(cpu), 2),
                        redis ? number(round.redis_cpu_us, 1) : "-",
                        number(round.client_cpu_us, 1),
                        redis ? number(round.commands, 2) : "-",
                        redis ? number(round.writes / round.commands, 3) : "-"});
    }
    std::cout << cli::show_table(rows) << std::endl;
}

std::string this_program() {
    return std::filesystem::read_symlink("/proc/self/exe").string();
}

class EchoProcess {
public:
    explicit EchoProcess(const std::string& path)
        : port_(test::free_port()), process_({this_program(), "serve", path, address()}) {}

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    Round run(std::size_t clients, Milliseconds duration) {
        return run_load({this_program(),
                         "echo",
                         address(),
                         std::to_string(clients),
                         std::to_string(duration.count())},
                        process_.pid(),
                        -1,
                        0);
    }

private:
    int port_;
    test::Process process_;
};

// Daemon and Redis over a Unix socket, as one deploys them on one machine.
class HoldfastProcess {
public:
    HoldfastProcess() : daemon_({"--store", redis_.url(), "--log-level", "warn"}) {}

    Round run(std::size_t clients, Milliseconds duration, std::size_t locks = 0) {
        return run_load({test::program("holdfast"),
                         "--server",
                         daemon_.address(),
                         "-o",
                         "json",
                         "bench",
                         "--clients",
                         std::to_string(clients),
                         "--locks",
                         std::to_string(locks),
                         "--duration",
                         std::to_string(duration.count()) + "ms"},
                        daemon_.process().pid(),
                        redis_.process().pid(),
                        daemon_.http_port());
    }

private:
    test::RedisProcess redis_;
    e2e::Daemon daemon_;
};

class EtcdProcess {
public:
    static bool installed() { return std::filesystem::exists("/usr/bin/etcd"); }

    EtcdProcess()
        : port_(test::free_port()),
          process_({"etcd",
                    "--data-dir",
                    directory_.file("data"),
                    "--listen-client-urls",
                    "http://" + address(),
                    "--advertise-client-urls",
                    "http://" + address(),
                    "--listen-peer-urls",
                    "http://127.0.0.1:" + std::to_string(test::free_port())}) {
        if (!test::eventually(
                [this] {
                    try {
                        return e2e::http_get(port_, "/health").find("true") != std::string::npos;
                    } catch (const std::exception&) {
                        return false;
                    }
                },
                30s)) {
            throw std::runtime_error("etcd does not start");
        }
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    Round run(std::size_t clients, Milliseconds duration, std::size_t locks = 0) {
        return run_load({this_program(),
                         "etcd",
                         address(),
                         std::to_string(clients),
                         std::to_string(locks),
                         std::to_string(duration.count())},
                        process_.pid(),
                        -1,
                        0);
    }

private:
    test::TempDir directory_;
    int port_;
    test::Process process_;
};

// What Redis alone does: the script of Acquire, pipelined, by redis-benchmark.
void raw_redis() {
    const test::RedisProcess redis;
    const std::string sha = redis.run({"SCRIPT", "LOAD", std::string{store::kLua_acquire}});
    const std::string socket = redis.url().substr(std::string{"unix://"}.size());
    const e2e::Outcome outcome = e2e::run_program({"redis-benchmark",
                                                   "-s",
                                                   socket,
                                                   "-c",
                                                   "4",
                                                   "-P",
                                                   "16",
                                                   "-n",
                                                   "200000",
                                                   "-r",
                                                   "1000000",
                                                   "--csv",
                                                   "EVALSHA",
                                                   sha,
                                                   "1",
                                                   "hf:__rand_int__",
                                                   "0123456789abcdef",
                                                   "fedcba9876543210",
                                                   "10000000",
                                                   "0",
                                                   "bench",
                                                   "",
                                                   "86400000",
                                                   "9999999999999999"});
    const auto line = outcome.output.find("\"EVALSHA");
    if (outcome.code != 0 || line == std::string::npos) {
        throw std::runtime_error("redis-benchmark failed: " + outcome.output);
    }
    // "command","calls per second","average ms","min","p50","p95","p99","max"
    std::vector<std::string> fields;
    std::istringstream text{outcome.output.substr(line)};
    for (std::string field; std::getline(text, field, '"');) {
        if (field != "," && !field.empty() && field != "\n") {
            fields.push_back(field);
        }
    }
    std::cout << "Redis alone, Acquire's EVALSHA pipelined 16 deep on 4 connections: "
              << fields.at(1) << "/s, p50 " << fields.at(4) << " ms, p99 " << fields.at(6)
              << " ms\n\n";
}

void run_all() {
    EchoProcess echo{"inline"};
    EchoProcess hop{"hop"};
    HoldfastProcess holdfast;
    const auto subjects = [&]() -> std::vector<Subject> {
        return {
            {"echo", [&](auto clients, auto time) { return echo.run(clients, time); }},
            {"echo with a hop", [&](auto clients, auto time) { return hop.run(clients, time); }},
            {"holdfast", [&](auto clients, auto time) { return holdfast.run(clients, time); }}};
    };
    std::cout << "Unary Acquire and Release in turn, each client its own lock, one connection;\n"
                 "ratios are to the inline echo of the same round.\n\n";
    compare("64 CLIENTS", subjects(), kClients, 2s);
    compare("16 CLIENTS", subjects(), 16, 2s);
    compare("1 CLIENT", subjects(), 1, 1s);
    raw_redis();
    const auto hot = [&](auto clients, auto time) { return holdfast.run(clients, time, 1); };
    if (!EtcdProcess::installed()) {
        std::cout << "etcd is not installed: no comparison (apt-get install etcd-server)\n\n";
        compare("ONE LOCK, 16 CLIENTS", {{"holdfast", hot}}, 16, 2s);
        return;
    }
    EtcdProcess etcd;
    compare("64 CLIENTS, OWN LOCKS",
            {{"etcd v3lock", [&](auto clients, auto time) { return etcd.run(clients, time); }},
             subjects().back()},
            kClients,
            2s);
    compare("ONE LOCK, 16 CLIENTS",
            {{"etcd v3lock", [&](auto clients, auto time) { return etcd.run(clients, time, 1); }},
             {"holdfast", hot}},
            16,
            2s);
}

int main_with(const std::vector<std::string>& words) {
    const auto number_at = [&](std::size_t i) { return std::stoul(words.at(i)); };
    if (words.empty()) {
        run_all();
    } else if (words[0] == "serve") {
        serve_echo(words.at(2), words.at(1) == "hop" ? EchoPath::hop : EchoPath::inline_);
    } else if (words[0] == "echo") {
        load_echo(words.at(1), number_at(2), Milliseconds{number_at(3)});
    } else if (words[0] == "etcd") {
        load_etcd(words.at(1), number_at(2), number_at(3), Milliseconds{number_at(4)});
    } else {
        std::cerr << "usage: bench\n";
        return 2;
    }
    return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
    try {
        return holdfast::bench::main_with({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::cerr << "bench: " << error.what() << '\n';
        return 1;
    }
}
