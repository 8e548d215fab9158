#include "daemon/settings_table.hpp"

#include "daemon/setting_kinds.hpp"
#include "redis/settings.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

namespace holdfast::daemon {
namespace {

bool has_port(const std::string& address) {
    const auto colon = address.rfind(':');
    return colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
           std::all_of(address.begin() + static_cast<std::ptrdiff_t>(colon) + 1,
                       address.end(),
                       [](unsigned char c) { return std::isdigit(c); });
}

Setting grpc_addresses() {
    return {"listen.grpc",
            Kind::list,
            "addresses of the gRPC API: host:port, [ipv6]:port or unix:/path",
            [](Settings& settings, const Texts& values) -> Read {
                for (const std::string& address : values) {
                    if (!address.starts_with("unix:/") && !has_port(address)) {
                        return wrong("has \"" + address +
                                     "\", which is neither host:port nor unix:/path");
                    }
                }
                if (values.empty()) {
                    return wrong("is empty; the daemon would serve nobody");
                }
                settings.listen.grpc = values;
                return {};
            },
            [](const Settings& settings) { return quoted_list(settings.listen.grpc); }};
}

Setting http_address() {
    Setting setting = text(
        "listen.http",
        [](Settings & s) -> auto& { return s.listen.http; },
        "address of /livez, /readyz and /metrics: host:port or [ipv6]:port; empty: none");
    setting.read = [](Settings& settings, const Texts& values) -> Read {
        if (!values.front().empty() && !has_port(values.front())) {
            return wrong("is neither host:port nor empty");
        }
        settings.listen.http = values.front();
        return {};
    };
    return setting;
}

Setting store_url() {
    Setting setting = text(
        "store.url",
        [](Settings & s) -> auto& { return s.store.url; },
        "redis://[user:password@]host[:port][/db], rediss:// (TLS), unix:///path[?db=N], "
        "redis+sentinel://[user:password@]host[:port],.../master[/db] (the Sentinels' hosts), "
        "redis+cluster://[user:password@]host[:port],... (some nodes of a Cluster), "
        "redis+quorum://[user:password@]host[:port],host[:port],host[:port] (3 or 5 independent "
        "nodes), rediss+sentinel:// and so on; empty: an embedded Redis, gone with the daemon, "
        "not for production");
    setting.read = [](Settings& settings, const Texts& values) -> Read {
        if (!values.front().empty()) {
            if (const auto parsed = redis::parse_url(values.front()); !parsed) {
                return wrong("is not usable: " + parsed.error());
            }
        }
        settings.store.url = values.front();
        return {};
    };
    setting.print = [](const Settings& settings) { return quoted(mask_url(settings.store.url)); };
    return setting;
}

Setting coexist() {
    return {
        "store.coexist",
        Kind::list,
        "beginnings of lock names that redis-py, Dapr, redlock and the like lock as well, by a "
        "plain key of that name (or \"NAMES=>KEYS\": it begins with KEYS instead): Holdfast takes "
        "that key too, in one Redis or Sentinel, exclusive locks only; the same at all daemons",
        [](Settings& settings, const Texts& values) -> Read {
            settings.store.coexist = values;
            return {};
        },
        [](const Settings& settings) { return quoted_list(settings.store.coexist); }};
}

// How to prove who we are to Redis, and whom to trust; SIGHUP reads it all anew.
std::vector<Setting> access_settings() {
    using S = Settings;
    return {
        text(
            "store.username",
            [](S & s) -> auto& { return s.store.username; },
            "Redis user (ACL); overrides the URL's"),
        secret(
            "store.password",
            [](S & s) -> auto& { return s.store.password; },
            "Redis password; overrides the URL's"),
        text(
            "store.password_file",
            [](S & s) -> auto& { return s.store.password_file; },
            "a file whose first line is the password, instead of store.password; read anew for "
            "each connection and on SIGHUP, as are the files of store.tls_..."),
        text(
            "store.tls_ca",
            [](S & s) -> auto& { return s.store.tls_ca; },
            "with rediss://: PEM file of the authorities that may sign Redis' certificate; "
            "empty: the system's"),
        text(
            "store.tls_cert",
            [](S & s) -> auto& { return s.store.tls_cert; },
            "PEM file of the daemon's own certificate, with its chain, for a Redis that wants one; "
            "empty: none"),
        text(
            "store.tls_key",
            [](S & s) -> auto& { return s.store.tls_key; },
            "PEM file of store.tls_cert's private key, without a passphrase"),
        text(
            "store.tls_server_name",
            [](S & s) -> auto& { return s.store.tls_server_name; },
            "whom Redis' certificate must be for; empty: the host in store.url"),
        one_of(
            "store.tls_min_version",
            [](S & s) -> auto& { return s.store.tls_min_version; },
            {"1.2", "1.3"},
            "the oldest version of TLS: 1.2 or 1.3"),
    };
}

std::vector<Setting> store_settings() {
    using S = Settings;
    using namespace std::chrono_literals;
    return {
        text(
            "store.sentinel_username",
            [](S & s) -> auto& { return s.store.sentinel_username; },
            "user of the Sentinels; the URL's is that of Redis"),
        secret(
            "store.sentinel_password",
            [](S & s) -> auto& { return s.store.sentinel_password; },
            "password of the Sentinels; the URL's is that of Redis"),
        text(
            "store.sentinel_password_file",
            [](S & s) -> auto& { return s.store.sentinel_password_file; },
            "a file that holds the password, instead of store.sentinel_password"),
        text(
            "store.prefix",
            [](S & s) -> auto& { return s.store.prefix; },
            "of every key in Redis; all daemons that share locks have the same"),
        coexist(),
        // The scripts keep closed ids for 5 s; no command may outlive them.
        duration(
            "store.command_timeout",
            [](S & s) -> auto& { return s.store.command_timeout; },
            10ms,
            4s,
            "how long one command to Redis may take"),
        duration(
            "store.connect_timeout",
            [](S & s) -> auto& { return s.store.connect_timeout; },
            10ms,
            1min,
            "how long connecting and the handshake may take"),
        number(
            "store.connections",
            [](S & s) -> auto& { return s.store.connections; },
            1,
            64,
            "connections to Redis for each shard"),
        number(
            "store.max_in_flight",
            [](S & s) -> auto& { return s.store.max_in_flight; },
            1,
            1'000'000,
            "commands under way on one connection; more are refused at once, and acquires wait "
            "before"),
        duration(
            "store.retention",
            [](S & s) -> auto& { return s.store.retention; },
            1min,
            8760h,
            "how long Redis remembers an idle lock and its newest token"),
        boolean(
            "store.fail_fast",
            [](S & s) -> auto& { return s.store.fail_fast; },
            "exit with code 3 if Redis cannot be reached at start, instead of waiting for it"),
        boolean(
            "store.assume_new",
            [](S & s) -> auto& { return s.store.assume_new; },
            "at start, an empty Redis is new: it is not one that has lost its locks"),
    };
}

// What Redis is to be like.
std::vector<Setting> fitness_settings() {
    using S = Settings;
    using namespace std::chrono_literals;
    return {
        one_of(
            "store.safety",
            [](S & s) -> auto& { return s.store.safety; },
            {"safe", "async", "strict"},
            "when Redis has lost its memory: safe, new grants wait limits.max_ttl; async, they go "
            "on; strict, as safe, and each grant and renewal waits until a majority of the primary "
            "and its store.replicas has it: the same for all daemons"),
        boolean(
            "store.allow_eviction",
            [](S & s) -> auto& { return s.store.allow_eviction; },
            "use a Redis with another maxmemory-policy than noeviction, which may throw locks "
            "away"),
        number(
            "store.replicas",
            [](S & s) -> auto& { return s.store.replicas; },
            0,
            100,
            "how many replicas Redis has, all told; a warning if fewer are connected"),
        duration(
            "store.wait_timeout",
            [](S & s) -> auto& { return s.store.wait_timeout; },
            10ms,
            2s,
            "how long replicas may take to acknowledge, where that is waited for"),
        number(
            "store.quorum",
            [](S & s) -> auto& { return s.store.quorum; },
            0,
            5,
            "with redis+quorum://: how many nodes have to agree, the same at all daemons; 0: a "
            "majority. 4 of 5 bear one node whose clock jumps"),
        one_of(
            "store.preflight",
            [](S & s) -> auto& { return s.store.preflight; },
            {"warn", "refuse"},
            "when Redis has too few replicas or keeps nothing on disk: warn, or refuse to grant"),
    };
}

std::vector<Setting> limit_settings() {
    using S = Settings;
    using core::Limits;
    using namespace std::chrono_literals;
    return {
        duration(
            "limits.min_ttl",
            [](S & s) -> auto& { return s.limits.min_ttl; },
            Limits::kLowestTtl,
            Limits::kHighestTtl,
            "the shortest ttl a client may ask for"),
        duration(
            "limits.default_ttl",
            [](S & s) -> auto& { return s.limits.default_ttl; },
            Limits::kLowestTtl,
            Limits::kHighestTtl,
            "the ttl of those who ask for none"),
        duration(
            "limits.max_ttl",
            [](S & s) -> auto& { return s.limits.max_ttl; },
            Limits::kLowestTtl,
            Limits::kHighestTtl,
            "the longest ttl; long holds use max_hold_ms, not long ttls"),
        duration(
            "limits.max_wait",
            [](S & s) -> auto& { return s.limits.max_wait; },
            0ms,
            8760h,
            "the longest wait_ms"),
        duration(
            "limits.max_hold",
            [](S & s) -> auto& { return s.limits.max_hold; },
            1s,
            8760h,
            "the longest max_hold_ms"),
        number(
            "limits.max_waiters_per_lock",
            [](S & s) -> auto& { return s.limits.max_waiters_per_lock; },
            1,
            10'000'000,
            "who may wait for one lock at this daemon"),
        number(
            "limits.max_waiters",
            [](S & s) -> auto& { return s.limits.max_waiters; },
            1,
            100'000'000,
            "who may wait at this daemon, for all locks together"),
        number(
            "limits.max_session_leases",
            [](S & s) -> auto& { return s.limits.max_session_leases; },
            1,
            10'000'000,
            "leases of one Session, with its acquires that wait"),
        number(
            "limits.max_session_operations",
            [](S & s) -> auto& { return s.limits.max_session_operations; },
            1,
            1'000'000,
            "operations of one Session that are under way"),
    };
}

std::vector<Setting> process_settings() {
    using S = Settings;
    using namespace std::chrono_literals;
    return {
        number(
            "server.queues",
            [](S & s) -> auto& { return s.server.queues; },
            0,
            256,
            "gRPC completion queues, a thread each; 0: half of the cores"),
        number(
            "server.shards",
            [](S & s) -> auto& { return s.server.shards; },
            0,
            256,
            "shards of the lock state, a thread and connections each; 0: half of the cores"),
        text(
            "server.name",
            [](S & s) -> auto& { return s.server.name; },
            "how operators see this daemon, at most 64 bytes; another for each, as leases are not "
            "handed on "
            "to one of the same name; empty: its host and process id"),
        duration(
            "drain.timeout",
            [](S & s) -> auto& { return s.drain.timeout; },
            0ms,
            1h,
            "how long calls under way may take to end after SIGTERM"),
        one_of(
            "log.level",
            [](S & s) -> auto& { return s.log.level; },
            {"trace", "debug", "info", "warn", "error"},
            "trace, debug, info, warn or error"),
        one_of(
            "log.format",
            [](S & s) -> auto& { return s.log.format; },
            {"text", "json"},
            "text, or json: one object a line"),
    };
}

}  // namespace

std::string Setting::environment() const {
    std::string name = "HOLDFAST_" + path;
    for (char& c : name) {
        c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return name;
}

std::vector<Setting> make_settings_table() {
    std::vector<Setting> table{grpc_addresses(), http_address(), store_url()};
    for (auto part : {access_settings(),
                      store_settings(),
                      fitness_settings(),
                      limit_settings(),
                      process_settings()}) {
        std::move(part.begin(), part.end(), std::back_inserter(table));
    }
    return table;
}

}  // namespace holdfast::daemon
