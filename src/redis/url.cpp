#include "redis/settings.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>

namespace holdfast::redis {
namespace {

namespace urls = boost::urls;
using Parsed = tl::expected<Settings, std::string>;

constexpr int kMaxDb = 1'000'000;

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

}  // namespace

std::string Settings::address() const {
    if (!unix_path.empty()) {
        return "unix:" + unix_path;
    }
    const bool ipv6 = host.find(':') != std::string::npos;
    return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Parsed parse_url(std::string_view text) {
    const auto parsed = urls::parse_uri(boost::core::string_view{text.data(), text.size()});
    if (!parsed) {
        return tl::unexpected(std::string{
            "the store URL cannot be read; forms: redis://[user:password@]host[:port][/db], "
            "unix:///path[?db=N]; special characters in a password are percent-encoded"});
    }
    const std::string scheme{parsed->scheme()};
    if (scheme == "unix") {
        return parse_unix(*parsed);
    }
    if (scheme == "redis") {
        return parse_tcp(*parsed);
    }
    if (scheme.starts_with("rediss") || scheme.starts_with("redis+")) {
        return tl::unexpected("the store URL's scheme " + scheme +
                              ":// is not served by this version; use redis:// or unix://");
    }
    return tl::unexpected("unknown scheme " + scheme +
                          ":// in the store URL; use redis:// or unix://");
}

}  // namespace holdfast::redis
