#pragma once

// A quorum of three Redis, each behind a gate and with a clock to be set.

#include "fixture.hpp"
#include "support/redis_clock.hpp"
#include "support/tcp_gate.hpp"

#include <boost/system/system_error.hpp>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::e2e {

constexpr auto kMaxTtl = 2s;

class Quorum : public testing::Test {
protected:
    Quorum() {
        for (int i = 0; i < 3; ++i) {
            nodes_.push_back(std::make_unique<test::RedisProcess>(std::vector<std::string>{},
                                                                  clocks_[i].environment()));
            gates_.push_back(std::make_unique<test::TcpGate>(nodes_.back()->port()));
        }
    }

    std::string node(std::size_t which) const {
        return "127.0.0.1:" + std::to_string(gates_[which]->port());
    }
    std::string url() const { return "redis+quorum://" + node(0) + "," + node(1) + "," + node(2); }
    std::map<std::string, std::string> settings() const {
        return {{"HOLDFAST_LIMITS_MAX_TTL", std::to_string(kMaxTtl.count()) + "s"},
                {"HOLDFAST_LIMITS_DEFAULT_TTL", "2s"},
                {"HOLDFAST_STORE_COMMAND_TIMEOUT", "500ms"}};
    }
    std::unique_ptr<Daemon> daemon() {
        return std::make_unique<Daemon>(std::vector<std::string>{"--store", url()}, settings());
    }
    static std::string readyz(const Daemon& daemon) try {
        return http_get(daemon.http_port(), "/readyz");
    } catch (const boost::system::system_error&) {
        return "";
    }
    static bool says(const Daemon& daemon, const std::string& status, const std::string& text) {
        return eventually(
            [&] {
                const std::string page = readyz(daemon);
                return page.starts_with("HTTP/1.1 " + status) &&
                       page.find(text) != std::string::npos;
            },
            20s);
    }

    std::array<test::RedisClock, 3> clocks_;
    std::vector<std::unique_ptr<test::RedisProcess>> nodes_;
    std::vector<std::unique_ptr<test::TcpGate>> gates_;
};

}  // namespace holdfast::e2e
