// What is wrong with settings that are each right by themselves.

#include "core/lock_store.hpp"
#include "daemon/durations.hpp"
#include "daemon/settings_table.hpp"
#include "redis/settings.hpp"
#include "store/coexistence.hpp"

#include <chrono>
#include <utility>

namespace holdfast::daemon {
namespace {

// What is wrong with the user, the password and TLS.
void check_access(const Settings::Store& store, std::vector<std::string>& problems) {
    if (!store.password.empty() && !store.password_file.empty()) {
        problems.emplace_back("store.password and store.password_file are both set; set one");
    }
    if (!store.username.empty() && store.password.empty() && store.password_file.empty()) {
        problems.emplace_back(
            "store.username is set without store.password or store.password_file");
    }
    if (store.tls_cert.empty() != store.tls_key.empty()) {
        problems.emplace_back(
            "store.tls_cert and store.tls_key belong together; only one of them is set");
    }
    const auto where = redis::parse_url(store.url);
    if (where && where->tls.on) {
        return;
    }
    const std::pair<const char*, bool> of_tls[] = {
        {"store.tls_ca", !store.tls_ca.empty()},
        {"store.tls_cert", !store.tls_cert.empty()},
        {"store.tls_server_name", !store.tls_server_name.empty()},
        {"store.tls_min_version", store.tls_min_version != Settings::Store{}.tls_min_version}};
    for (const auto& [name, set] : of_tls) {
        if (set) {
            problems.push_back(std::string{name} +
                               " is set, but store.url does not begin with rediss://: without it, "
                               "nothing is encrypted");
        }
    }
}

void check_strict(const Settings& settings, std::vector<std::string>& problems) {
    const Settings::Store& store = settings.store;
    if (store.safety != "strict") {
        return;
    }
    if (store.url.empty()) {
        problems.emplace_back(
            "store.safety is strict, and the embedded Redis has no replicas; set store.url");
    } else if (!has_replicas(store.url)) {
        problems.emplace_back(
            "store.safety is strict, which is for one primary with replicas: store.url is to begin "
            "with redis://, unix:// or redis+sentinel:// (or rediss...)");
    }
    if (store.replicas == 0 || store.replicas > 2 * core::Limits::kMaxReplicas) {
        problems.push_back("store.safety is strict and store.replicas is " +
                           std::to_string(store.replicas) +
                           "; set it to how many replicas the primary has, all told: 1 to " +
                           std::to_string(2 * core::Limits::kMaxReplicas));
    }
    if (store.wait_timeout * 3 > settings.limits.min_ttl.value) {
        problems.push_back("store.safety is strict and store.wait_timeout is " +
                           format_duration(store.wait_timeout) +
                           ": more than a third of limits.min_ttl, " +
                           format_duration(settings.limits.min_ttl.value) +
                           "; a renewal could not be tried again in time");
    }
}

void check_coexistence(const Settings::Store& store, std::vector<std::string>& problems) {
    if (const auto parsed = store::Coexistence::parse(store.coexist, store.prefix); !parsed) {
        problems.push_back("store.coexist " + parsed.error());
    }
    if (!store.coexist.empty() && !store.url.empty() && !has_replicas(store.url)) {
        problems.emplace_back(
            "store.coexist is set, which is for one primary: store.url is to begin with redis://, "
            "unix:// or redis+sentinel:// (or rediss...)");
    }
}

void check_quorum(const Settings::Store& store, std::vector<std::string>& problems) {
    const auto where = redis::parse_url(store.url);
    if (store.quorum == 0 || !where) {
        return;
    }
    const std::size_t nodes = where->quorum.size();
    if (nodes == 0) {
        problems.emplace_back(
            "store.quorum is set, but store.url does not begin with redis+quorum://");
    } else if (store.quorum > nodes || store.quorum <= nodes / 2) {
        problems.push_back("store.quorum is " + std::to_string(store.quorum) +
                           ", and must be a majority of the " + std::to_string(nodes) +
                           " nodes in store.url: " + std::to_string(nodes / 2 + 1) + " to " +
                           std::to_string(nodes));
    }
}

}  // namespace

// A Cluster has several primaries, a quorum has no replicas.
bool has_replicas(std::string_view url) {
    return !url.empty() && url.find("+cluster://") == std::string_view::npos &&
           url.find("+quorum://") == std::string_view::npos;
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
    check_access(settings.store, problems);
    check_strict(settings, problems);
    check_quorum(settings.store, problems);
    // A record must outlive every lease in it, and the lock delay after that.
    const core::Milliseconds lasts = std::chrono::ceil<core::Milliseconds>(
        core::store_hold(limits.max_ttl) + core::Limits::kMaxLockDelay);
    if (settings.store.retention < lasts) {
        problems.push_back("store.retention is " + format_duration(settings.store.retention) +
                           "; with limits.max_ttl " + format_duration(limits.max_ttl.value) +
                           ", the shortest is " + format_duration(lasts));
    }
    if (!settings.store.sentinel_password.empty() &&
        !settings.store.sentinel_password_file.empty()) {
        problems.emplace_back(
            "store.sentinel_password and store.sentinel_password_file are both set; set one");
    }
    constexpr std::size_t kLongestName = 64;
    if (!core::is_clean_utf8(settings.server.name) || settings.server.name.size() > kLongestName) {
        problems.emplace_back("server.name has control characters or more than 64 bytes");
    }
    if (!core::is_clean_utf8(settings.store.prefix) || settings.store.prefix.empty()) {
        problems.emplace_back("store.prefix is empty or has control characters");
    }
    check_coexistence(settings.store, problems);
    return problems;
}

}  // namespace holdfast::daemon
