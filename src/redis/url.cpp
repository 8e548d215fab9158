#include "redis/quorum_url.hpp"
#include "redis/settings.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::redis {
namespace {

namespace urls = boost::urls;
using Parsed = tl::expected<Settings, std::string>;

constexpr int kMaxDb = 1'000'000;
constexpr std::uint16_t kRedisPort = 6379;
constexpr std::uint16_t kSentinelPort = 26379;
// A new primary shall not wait for a back-off that an old one has brought about.
constexpr std::chrono::milliseconds kFailoverBackoff{500};

// A whole number from `least` to `most`, -1 if it is none.
int parse_number(std::string_view text, int least, int most) {
    int number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && number >= least && number <= most ? number : -1;
}

tl::expected<int, std::string> parse_db(std::string_view text) {
    const int db = parse_number(text, 0, kMaxDb);
    if (db < 0) {
        return tl::unexpected(std::string{"the database in the store URL is not a number"});
    }
    return db;
}

Parsed parse_unix(const urls::url_view& url) {
    Settings settings;
    settings.unix_path = url.path();
    if (settings.unix_path.size() < 2 || !url.host().empty()) {
        return tl::unexpected(
            std::string{"a unix store URL has an absolute path: unix:///run/redis/redis.sock"});
    }
    for (const auto parameter : url.params()) {
        if (parameter.key != "db") {
            return tl::unexpected("unknown parameter in the store URL: " + parameter.key);
        }
        const auto db = parse_db(parameter.value);
        if (!db) {
            return tl::unexpected(db.error());
        }
        settings.db = *db;
    }
    return settings;
}

Parsed parse_tcp(const urls::url_view& url) {
    Settings settings;
    settings.host = url.host_address();
    if (settings.host.empty()) {
        return tl::unexpected(std::string{"the store URL has no host"});
    }
    if (url.has_port()) {
        const auto text = url.port();
        const int port = parse_number({text.data(), text.size()}, 1, 65'535);
        if (port < 0) {
            return tl::unexpected(std::string{"the port in the store URL is not 1 to 65535"});
        }
        settings.port = static_cast<std::uint16_t>(port);
    }
    settings.user = url.user();
    settings.password = url.password();
    if (!settings.user.empty() && !url.has_password()) {
        // The old form redis://password@host, too, names a user to every parser: say so.
        return tl::unexpected(std::string{
            "the store URL has a user but no password; write redis://user:password@host, or "
            "redis://:password@host for the default user"});
    }
    const std::string path = url.path();
    if (path.size() > 1) {
        const auto db = parse_db(std::string_view{path}.substr(1));
        if (!db) {
            return tl::unexpected(db.error());
        }
        settings.db = *db;
    }
    if (url.has_query() || url.has_fragment()) {
        return tl::unexpected(std::string{"a redis store URL has no ? or # part"});
    }
    return settings;
}

bool names_port(std::string_view host) {
    const auto ipv6_end = host.rfind(']');
    return host.find(':', ipv6_end == std::string_view::npos ? 0 : ipv6_end) !=
           std::string_view::npos;
}

// The path's first part, decoded; empty if it is none.
std::string parse_master(std::string_view path) {
    const auto parsed =
        urls::parse_relative_ref(boost::core::string_view{path.data(), path.size()});
    const bool good = parsed && !parsed->has_authority() && !parsed->has_query() &&
                      !parsed->has_fragment() && path.size() > 1;
    return good ? std::string{parsed->path()}.substr(1) : std::string{};
}

// [user:password@]h1[:p1],h2[:p2]: as a URL for each of them, for one has but one host. `one_server` is the
// beginning of those, `path` their end. The settings of the last; all addresses go to `found`.
Parsed parse_hosts(std::string_view hosts,
                   std::string_view one_server,
                   std::string_view path,
                   std::uint16_t default_port,
                   std::vector<Address>& found) {
    const std::string login{hosts.substr(0, hosts.rfind('@') + 1)};
    hosts.remove_prefix(login.size());
    Settings settings;
    while (!hosts.empty()) {
        std::string host{hosts.substr(0, hosts.find(','))};
        hosts.remove_prefix(std::min(host.size() + 1, hosts.size()));
        host += names_port(host) ? "" : ":" + std::to_string(default_port);
        std::string url{one_server};
        url += login;
        url += host;
        url += path;
        auto one = parse_url(url);
        if (!one) {
            return one;
        }
        settings = *std::move(one);
        found.push_back({settings.host, settings.port});
    }
    return settings;
}

// What stands behind SCHEME://, before and from the first slash.
std::pair<std::string_view, std::string_view> hosts_and_path(std::string_view text) {
    text.remove_prefix(text.find("://") + 3);
    const auto slash = std::min(text.find('/'), text.size());
    return {text.substr(0, slash), text.substr(slash)};
}

// SCHEME://[user:password@]h1[:p1],h2[:p2]/master[/db]
Parsed parse_sentinels(std::string_view text, std::string_view one_server) {
    const auto [hosts, path] = hosts_and_path(text);
    const auto master_end = std::min(path.find('/', 1), path.size());
    std::vector<Address> found;
    Parsed settings_or =
        parse_hosts(hosts, one_server, path.substr(master_end), kSentinelPort, found);
    if (!settings_or) {
        return settings_or;
    }
    Settings& settings = *settings_or;
    settings.sentinels.master = parse_master(path.substr(0, master_end));
    if (found.empty() || settings.sentinels.master.empty()) {
        return tl::unexpected(
            std::string{"the store URL names no Sentinel or no master: "
                        "redis+sentinel://host:port,.../master[/db]"});
    }
    settings.sentinels.addresses = std::move(found);
    settings.backoff_max = kFailoverBackoff;
    return settings_or;
}

// SCHEME://[user:password@]h1[:p1],h2[:p2]
Parsed parse_cluster(std::string_view text, std::string_view one_server) {
    const auto [hosts, path] = hosts_and_path(text);
    std::vector<Address> found;
    Parsed settings = parse_hosts(hosts, one_server, path, kRedisPort, found);
    if (!settings) {
        return settings;
    }
    if (found.empty() || settings->db != 0) {
        return tl::unexpected(
            std::string{"a Cluster's store URL names nodes, and no database: "
                        "redis+cluster://host:port,host:port"});
    }
    settings->cluster = std::move(found);
    settings->backoff_max = kFailoverBackoff;
    return settings;
}

}  // namespace

std::string Settings::address() const {
    if (!unix_path.empty()) {
        return "unix:" + unix_path;
    }
    if (!cluster.empty()) {
        std::string all = "the Cluster of";
        for (const Address& node : cluster) {
            all += ' ' + node.text();
        }
        return all;
    }
    if (!quorum.empty()) {
        return address_of_quorum(*this);
    }
    if (sentinels.addresses.empty()) {
        return Address{host, port}.text();
    }
    std::string all = "master " + sentinels.master + " of the Sentinels";
    for (const Address& sentinel : sentinels.addresses) {
        all += ' ' + sentinel.text();
    }
    return all;
}

Parsed parse_url(std::string_view text) {
    for (const std::string scheme : {"redis", "rediss"}) {
        if (text.starts_with(scheme + "+quorum://")) {
            return parse_quorum_url(text, scheme + "://");
        }
        if (text.starts_with(scheme + "+sentinel://")) {
            return parse_sentinels(text, scheme + "://");
        }
        if (text.starts_with(scheme + "+cluster://")) {
            return parse_cluster(text, scheme + "://");
        }
    }
    const auto parsed = urls::parse_uri(boost::core::string_view{text.data(), text.size()});
    if (!parsed) {
        return tl::unexpected(std::string{
            "the store URL cannot be read; forms: redis://[user:password@]host[:port][/db], "
            "rediss:// (TLS), unix:///path[?db=N], "
            "redis+sentinel://[user:password@]host[:port],.../master[/db], rediss+sentinel://, "
            "redis+cluster://[user:password@]host[:port],..., rediss+cluster://, "
            "redis+quorum://[user:password@]host[:port],host[:port],host[:port], rediss+quorum://; "
            "special characters in a password are percent-encoded"});
    }
    const std::string scheme{parsed->scheme()};
    if (scheme == "unix") {
        return parse_unix(*parsed);
    }
    if (scheme == "redis" || scheme == "rediss") {
        auto settings = parse_tcp(*parsed);
        if (settings) {
            settings->tls.on = scheme == "rediss";
        }
        return settings;
    }
    return tl::unexpected("unknown scheme " + scheme +
                          ":// in the store URL; use redis://, rediss://, redis+sentinel://, "
                          "redis+cluster://, redis+quorum:// or unix://");
}

}  // namespace holdfast::redis
