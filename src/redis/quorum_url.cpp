#include "redis/quorum_url.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace holdfast::redis {
namespace {

// A node that comes back shall be of use soon: the others may be all that there is.
constexpr std::chrono::milliseconds kBackoff{500};

}  // namespace

// SCHEME://[user:password@]h1[:p1],h2[:p2],h3[:p3][/db]: as a URL for each, for one has but one host.
tl::expected<Settings, std::string> parse_quorum_url(std::string_view text,
                                                     std::string_view one_server) {
    text.remove_prefix(text.find("://") + 3);
    const std::string path{text.substr(std::min(text.find('/'), text.size()))};
    std::string_view hosts = text.substr(0, text.size() - path.size());
    const std::string login{hosts.substr(0, hosts.rfind('@') + 1)};
    hosts.remove_prefix(login.size());
    Settings settings;
    std::vector<Address> found;
    std::set<std::string> different;
    while (!hosts.empty()) {
        const std::string host{hosts.substr(0, hosts.find(','))};
        hosts.remove_prefix(std::min(host.size() + 1, hosts.size()));
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
        different.insert(found.back().text());
    }
    constexpr std::size_t kFew = 3;
    constexpr std::size_t kMany = 5;
    if ((found.size() != kFew && found.size() != kMany) || different.size() != found.size()) {
        return tl::unexpected(
            std::string{"the store URL of a quorum names 3 or 5 different nodes: "
                        "redis+quorum://host:port,host:port,host:port[/db]"});
    }
    settings.quorum = std::move(found);
    settings.backoff_max = kBackoff;
    return settings;
}

std::string address_of_quorum(const Settings& settings) {
    std::string all = "a quorum of";
    for (const Address& node : settings.quorum) {
        all += ' ' + node.text();
    }
    return all;
}

Settings node_of(const Settings& quorum, std::size_t node) {
    Settings settings = quorum;
    settings.quorum.clear();
    settings.host = quorum.quorum[node].host;
    settings.port = quorum.quorum[node].port;
    settings.seed += static_cast<std::uint32_t>(node);
    return settings;
}

}  // namespace holdfast::redis
