#include "bench/servers.hpp"

#include <filesystem>
#include <stdexcept>

namespace holdfast::bench {

EchoServer::EchoServer(const std::string& path)
    : port_(test::free_port()), process_({this_program(), "load", "serve", path, address()}) {}

Round EchoServer::run(std::size_t clients, Milliseconds duration) {
    return run_load({this_program(),
                     "load",
                     "echo",
                     address(),
                     std::to_string(clients),
                     std::to_string(duration.count())},
                    {{process_.pid()}, {}, nullptr});
}

Holdfast::Holdfast(std::size_t daemons, const std::map<std::string, std::string>& environment) {
    for (std::size_t i = 0; i < daemons; ++i) {
        daemons_.push_back(std::make_unique<e2e::Daemon>(
            std::vector<std::string>{"--store", redis_.url(), "--log-level", "warn"}, environment));
    }
}

std::string Holdfast::addresses() const {
    std::string all;
    for (const auto& daemon : daemons_) {
        all += (all.empty() ? "" : ",") + daemon->address();
    }
    return all;
}

Watched Holdfast::watched() {
    Watched watched;
    watched.redis = &redis_;
    for (const auto& daemon : daemons_) {
        watched.servers.push_back(daemon->process().pid());
        watched.daemons.push_back(daemon.get());
    }
    return watched;
}

Round Holdfast::run_unary(std::size_t clients, Milliseconds duration) {
    return run_load({test::program("holdfast"),
                     "--server",
                     daemon().address(),
                     "-o",
                     "json",
                     "bench",
                     "--clients",
                     std::to_string(clients),
                     "--duration",
                     std::to_string(duration.count()) + "ms"},
                    watched());
}

Round RawRedis::run(std::size_t slots, Milliseconds duration) {
    return run_load({this_program(),
                     "load",
                     "redis",
                     redis_.socket(),
                     std::to_string(slots),
                     std::to_string(duration.count())},
                    {{}, {}, &redis_});
}

Round RawRedis::run_inside(std::size_t waiters, Milliseconds duration) {
    return run_load({this_program(),
                     "load",
                     "inside",
                     redis_.url(),
                     std::to_string(waiters),
                     std::to_string(duration.count())},
                    {{}, {}, &redis_});
}

bool Etcd::installed() {
    return std::filesystem::exists("/usr/bin/etcd");
}

Etcd::Etcd()
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

Round Etcd::run(std::size_t clients, std::size_t locks, Milliseconds duration) {
    return run_load({this_program(),
                     "load",
                     "etcd",
                     address(),
                     std::to_string(clients),
                     std::to_string(locks),
                     std::to_string(duration.count())},
                    {{process_.pid()}, {}, nullptr},
                    locks == 1 ? "acquire" : "");
}

}  // namespace holdfast::bench
