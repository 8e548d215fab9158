#pragma once

// What an operator can set: plain values with their defaults, checked once, immutable afterwards.
// The table in settings_table.cpp says how each is named, read, printed and explained.

#include "core/limits.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace holdfast::daemon {

struct Settings {
    using Milliseconds = std::chrono::milliseconds;

    struct Listen {
        std::vector<std::string> grpc{"127.0.0.1:7420"};
        std::string http = "127.0.0.1:7421";  // empty: none
    } listen;

    struct Store {
        std::string url;  // empty: an embedded Redis
        std::string username;
        std::string password;
        std::string password_file;
        std::string tls_ca;
        std::string tls_cert;
        std::string tls_key;
        std::string tls_server_name;
        std::string tls_min_version = "1.2";
        std::string sentinel_username;
        std::string sentinel_password;
        std::string sentinel_password_file;
        std::string prefix = "hf:";
        std::vector<std::string> coexist;  // see store/coexistence.hpp
        Milliseconds command_timeout{1000};
        Milliseconds connect_timeout{1000};
        std::size_t connections = 1;  // for each shard
        std::size_t max_in_flight = 10'000;
        Milliseconds retention = std::chrono::hours{24};
        bool fail_fast = false;
        bool assume_new = false;
        std::string safety = "safe";
        bool allow_eviction = false;
        std::size_t replicas = 0;
        Milliseconds wait_timeout{250};
        std::size_t quorum = 0;  // 0: a majority
        std::string preflight = "warn";
    } store;

    core::Limits limits;

    struct Server {
        std::size_t queues = 0;  // 0: by the machine
        std::size_t shards = 0;  // 0: by the machine
        std::string name;        // empty: host:pid
    } server;

    struct Drain {
        Milliseconds timeout{10'000};
    } drain;

    struct Log {
        std::string level = "info";
        std::string format = "text";
    } log;
};

// How the daemon ends, for scripts and supervisors.
enum class ExitCode : int {
    ok = 0,
    failed = 1,             // something broke while running
    usage = 2,              // the command line or a setting is wrong
    store_unreachable = 3,  // only with fail_fast
    cannot_listen = 4,      // an address is in use or not ours
};

}  // namespace holdfast::daemon
