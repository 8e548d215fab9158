#include "daemon/settings_table.hpp"

#include "daemon/setting_kinds.hpp"
#include "redis/settings.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

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
            [](const Settings& settings) {
                std::string list;
                for (const std::string& address : settings.listen.grpc) {
                    list += (list.empty() ? "" : ", ") + quoted(address);
                }
                return "[" + list + "]";
            }};
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
        "redis://[user:password@]host[:port][/db] or unix:///path[?db=N]; empty: an embedded "
        "Redis, "
        "gone with the daemon, not for production");
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

std::vector<Setting> store_settings() {
    using S = Settings;
    using namespace std::chrono_literals;
    return {
        store_url(),
        text(
            "store.username",
            [](S & s) -> auto& { return s.store.username; },
            "Redis user; overrides the URL's"),
        secret(
            "store.password",
            [](S & s) -> auto& { return s.store.password; },
            "Redis password; overrides the URL's"),
        text(
            "store.password_file",
            [](S & s) -> auto& { return s.store.password_file; },
            "a file that holds the password, instead of store.password"),
        text(
            "store.prefix",
            [](S & s) -> auto& { return s.store.prefix; },
            "of every key in Redis; all daemons that share locks have the same"),
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
            "commands under way on one connection; more are refused at once"),
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
        one_of(
            "store.safety",
            [](S & s) -> auto& { return s.store.safety; },
            {"safe", "async"},
            "when Redis has lost its memory: safe, new grants wait limits.max_ttl; async, they go "
            "on"),
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
    std::vector<Setting> table{grpc_addresses(), http_address()};
    for (auto part : {store_settings(), limit_settings(), process_settings()}) {
        std::move(part.begin(), part.end(), std::back_inserter(table));
    }
    return table;
}

std::vector<std::string> check_together(const Settings& settings) {
    std::vector<std::string> problems;
    const core::Limits& limits = settings.limits;
    if (limits.min_ttl > limits.default_ttl || limits.default_ttl > limits.max_ttl) {
        problems.push_back(
            "limits.min_ttl, limits.default_ttl and limits.max_ttl must be in this "
            "order; they are " +
            format_duration(limits.min_ttl.value) + ", " +
            format_duration(limits.default_ttl.value) + " and " +
            format_duration(limits.max_ttl.value));
    }
    if (!settings.store.password.empty() && !settings.store.password_file.empty()) {
        problems.emplace_back("store.password and store.password_file are both set; set one");
    }
    if (!settings.store.username.empty() && settings.store.password.empty() &&
        settings.store.password_file.empty()) {
        problems.emplace_back(
            "store.username is set without store.password or store.password_file");
    }
    constexpr std::size_t kLongestName = 64;
    if (!core::is_clean_utf8(settings.server.name) || settings.server.name.size() > kLongestName) {
        problems.emplace_back("server.name has control characters or more than 64 bytes");
    }
    if (!core::is_clean_utf8(settings.store.prefix) || settings.store.prefix.empty()) {
        problems.emplace_back("store.prefix is empty or has control characters");
    }
    return problems;
}

std::string mask_url(const std::string& url) {
    const auto scheme = url.find("://");
    if (scheme == std::string::npos) {
        return url;
    }
    const auto start = scheme + 3;
    const auto at = url.rfind('@', url.find('/', start));
    const auto colon = url.find(':', start);
    if (at == std::string::npos || at < start || colon == std::string::npos || colon > at) {
        return url;
    }
    return url.substr(0, colon + 1) + "***" + url.substr(at);
}

}  // namespace holdfast::daemon
