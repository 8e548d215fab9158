#pragma once

// Where a Redis is and how to talk to it.

#include "redis/address.hpp"
#include "redis/multiplexer.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace holdfast::redis {

class Access;
class Topology;

// TLS to a Redis. The server's certificate is always verified: its chain, its time, and that it is for
// the server's name. Files are PEM.
struct Tls {
    bool on = false;
    std::string ca_file;        // who may sign the server's certificate; empty: the system's store
    std::string cert_file;      // of the client, with its chain; empty: none is shown
    std::string key_file;       // of cert_file, without a passphrase
    std::string server_name;    // SNI, and what the certificate must be for; empty: the host
    bool at_least_1_3 = false;  // else at least 1.2
};

struct Settings {
    // Who knows where the primary is, instead of host and port.
    struct Sentinels {
        std::vector<Address> addresses;  // empty: there are none
        std::string master;              // what they call it
        std::string user;                // to them, as below
        std::string password;
    };

    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string unix_path;      // not empty: a Unix socket instead of host and port
    std::string user;           // empty: the default user
    std::string password;       // empty: no AUTH
    std::string password_file;  // not empty: its first line is the password
    Tls tls;
    int db = 0;
    Sentinels sentinels;
    std::vector<Address> cluster;        // not empty: a Cluster, and some of its nodes
    std::vector<Address> quorum;         // not empty: independent nodes, which decide by majority
    std::shared_ptr<Topology> topology;  // not empty: says where to connect; else host and port
    bool to_sentinel = false;            // the server is a Sentinel, which has no data
    std::string client_name = "holdfast";
    std::chrono::milliseconds connect_timeout{1000};  // for resolving, connecting and the handshake
    std::chrono::milliseconds backoff_min{50};        // between tries to connect, doubling
    std::chrono::milliseconds backoff_max{2000};
    std::size_t connections = 1;
    Multiplexer::Limits limits;
    std::uint32_t seed = 1;  // of jitter
    // What all connections prove themselves with, so that it can be changed for all; empty: each makes
    // its own of the above.
    std::shared_ptr<Access> access;

    // For people and logs: without user and password.
    std::string address() const;
};

// redis://[user:password@]host[:port][/db], rediss:// (TLS), or unix:///path[?db=N], percent-encoded
// where needed; or redis+sentinel://[user:password@]host[:port],.../master[/db] and rediss+sentinel://,
// with user and password of Redis; or redis+cluster://[user:password@]host[:port],... and
// rediss+cluster://, some nodes of a Cluster; or redis+quorum://[user:password@]host[:port],host[:port],
// host[:port][/db] and rediss+quorum://: 3 or 5 independent ones.
// The error says what is wrong and never holds the password.
tl::expected<Settings, std::string> parse_url(std::string_view url);

// The settings of one node of a quorum.
Settings node_of(const Settings& quorum, std::size_t node);

}  // namespace holdfast::redis
