#pragma once

// Where a Redis is and how to talk to it.

#include "redis/multiplexer.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::redis {

struct Settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string unix_path;  // not empty: a Unix socket instead of host and port
    std::string user;       // empty: the default user
    std::string password;   // empty: no AUTH
    int db = 0;
    std::string client_name = "holdfast";
    std::chrono::milliseconds connect_timeout{1000};  // for resolving, connecting and the handshake
    std::chrono::milliseconds backoff_min{50};        // between tries to connect, doubling
    std::chrono::milliseconds backoff_max{2000};
    std::size_t connections = 1;
    Multiplexer::Limits limits;
    std::uint32_t seed = 1;  // of jitter

    // For people and logs: without user and password.
    std::string address() const;
};

// redis://[user:password@]host[:port][/db] or unix:///path[?db=N], percent-encoded where needed.
// The error says what is wrong and never holds the password.
tl::expected<Settings, std::string> parse_url(std::string_view url);

}  // namespace holdfast::redis
