#include "daemon/checks.hpp"

#include "redis/server_info.hpp"

#include <charconv>
#include <cstdint>
#include <utility>

namespace holdfast::daemon {
namespace {

using redis::InfoFields;

constexpr std::pair<std::uint64_t, std::uint64_t> kOldestVersion{6, 2};
// Of maxmemory: time to act before nothing is granted any more.
constexpr std::uint64_t kFullPercent = 80;
// Seconds: more than the distance of two beats, and GAP_US (lua/_incarnation.lua), with the highest max_ttl.
constexpr std::uint64_t kShortestBacklogTtl = 120;

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::pair<std::uint64_t, std::uint64_t> version_of(std::string_view text) {
    const auto dot = text.find('.');
    return {number(text), dot == std::string_view::npos ? 0 : number(text.substr(dot + 1))};
}

Check server(const InfoFields& info) {
    const std::string version{info["redis_version"]};
    if (version_of(version) < kOldestVersion) {
        return {"server",
                Severity::refused,
                "it is version " + (version.empty() ? "unknown" : version) +
                    "; Redis 6.2 or later is needed, or Valkey"};
    }
    return {"server"};
}

Check role(const InfoFields& info) {
    if (info["role"] != "master") {
        return {"role",
                Severity::refused,
                "it is a replica of " + std::string{info["master_host"]} + ":" +
                    std::string{info["master_port"]} + "; locks are kept at the primary"};
    }
    return {"role"};
}

Check loading(const InfoFields& info) {
    if (info["loading"] == "1") {
        return {"loading", Severity::refused, "it is loading its data from disk"};
    }
    return {"loading"};
}

Check eviction(const InfoFields& info, bool allowed) {
    const std::string policy{info["maxmemory_policy"]};
    if (policy.empty() || policy == "noeviction") {
        return {"eviction"};
    }
    return {"eviction",
            allowed ? Severity::warning : Severity::refused,
            "its maxmemory-policy is " + policy +
                ": when memory is full it throws locks away, and who holds them loses them. Set it "
                "to noeviction" +
                (allowed ? "" : ", or allow it with store.allow_eviction")};
}

Check memory(const InfoFields& info) {
    const std::uint64_t most = number(info["maxmemory"]);
    if (most > 0 && number(info["used_memory"]) > most / 100 * kFullPercent) {
        return {"memory",
                Severity::warning,
                "more than " + std::to_string(kFullPercent) +
                    "% of its maxmemory is used; when it is full nothing is granted any more"};
    }
    return {"memory"};
}

Check disk(const InfoFields& info) {
    std::string failed;
    for (const auto& [field, what] : {std::pair{"aof_last_write_status", "append to its AOF"},
                                      std::pair{"aof_last_bgrewrite_status", "rewrite its AOF"},
                                      std::pair{"rdb_last_bgsave_status", "save its RDB file"}}) {
        if (!info[field].empty() && info[field] != "ok") {
            failed += (failed.empty() ? "" : " and to ") + std::string{what};
        }
    }
    if (failed.empty()) {
        return {"disk"};
    }
    return {"disk",
            Severity::warning,
            "its last try to " + failed + " has failed: is the disk full? It may refuse to write"};
}

Check persistence(const InfoFields& info,
                  const std::optional<std::string>& save,
                  const CheckOptions& options) {
    // An AOF or RDB that we are not told of may be there.
    if (!options.expects_persistence || info["aof_enabled"] != "0" || save.value_or("?") != "") {
        return {"persistence"};
    }
    return {"persistence",
            options.strict ? Severity::refused : Severity::warning,
            "it keeps nothing on disk (appendonly no, no save): after a crash it knows only the "
            "leases that running daemons or their holders put back"};
}

Check backlog(const std::optional<std::string>& ttl) {
    const std::uint64_t seconds = number(ttl.value_or("0"));
    if (seconds == 0 || seconds >= kShortestBacklogTtl) {  // 0: never
        return {"backlog"};
    }
    return {
        "backlog",
        Severity::warning,
        "its repl-backlog-ttl is " + std::to_string(seconds) +
            " s: a quick demotion and promotion may not be noticed, and locks be granted twice; "
            "set it to " +
            std::to_string(kShortestBacklogTtl) + " or more (3600 is the default), or to 0"};
}

Check replicas(const InfoFields& info, const CheckOptions& options) {
    if (options.no_more_replicas && number(info["connected_slaves"]) > options.replicas) {
        return {"replicas",
                Severity::refused,
                "it has more replicas connected than store.replicas, which is " +
                    std::to_string(options.replicas) +
                    ": in strict mode, set it to how many there are, for all daemons"};
    }
    if (number(info["connected_slaves"]) >= options.replicas) {
        return {"replicas"};
    }
    return {"replicas",
            options.strict ? Severity::refused : Severity::warning,
            "it has " + std::to_string(number(info["connected_slaves"])) +
                " replicas connected, and store.replicas is " + std::to_string(options.replicas)};
}

}  // namespace

std::vector<Check> judge(std::string_view text,
                         const ToldConfig& config,
                         const CheckOptions& options) {
    const InfoFields info{text};
    std::string untold;
    const auto told = [&](const char* section, const char* field) {
        const bool there = !info[field].empty();
        if (!there) {
            untold += (untold.empty() ? "" : ", ") + std::string{section};
        }
        return there;
    };
    std::vector<Check> found{
        told("server", "redis_version") ? server(info) : Check{"server"},
        told("replication", "role") ? role(info) : Check{"role"},
        told("persistence", "loading") ? loading(info) : Check{"loading"},
        told("memory", "used_memory") ? eviction(info, options.allow_eviction) : Check{"eviction"},
        memory(info),
        disk(info),
        persistence(info, config.save, options),
        backlog(config.repl_backlog_ttl),
        info["role"].empty() ? Check{"replicas"} : replicas(info, options),
        Check{"info"}};
    if (!untold.empty()) {
        found.back() = {"info",
                        Severity::warning,
                        "it does not tell INFO " + untold +
                            " (an ACL?): whether it is fit for locks could not be checked"};
    }
    return found;
}

}  // namespace holdfast::daemon
