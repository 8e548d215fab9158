#include "support/sentinel_group.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace holdfast::test {
namespace {

constexpr std::size_t kNodes = 3;
constexpr auto kMaster = "mymaster";
constexpr auto kReplicasFrom = "127.0.0.3";
constexpr std::chrono::seconds kPatience{60};

std::string id_of(std::size_t sentinel) {
    return std::string(40, static_cast<char>('a' + sentinel));
}

}  // namespace

void SentinelGroup::Node::cut_off(bool on) {
    gate->hold_requests(on);
    gate->hold_replies(on);
}

void SentinelGroup::Node::cut_off_from_sentinels(bool on) {
    gate->hold_from(on ? SentinelProcess::kFrom : "");
}

void SentinelGroup::Node::cut_off_from_replicas(bool on) {
    gate->hold_from(on ? kReplicasFrom : "");
}

SentinelGroup::SentinelGroup() {
    for (std::size_t i = 0; i < kNodes; ++i) {
        // The gate's port is what it announces, so that comes first; a gate connects when it is used.
        const int port = free_port();
        auto gate = std::make_unique<TcpGate>(port);
        std::vector<std::string> extra{"--port",
                                       std::to_string(port),
                                       "--bind-source-addr",
                                       kReplicasFrom,
                                       "--replica-announce-ip",
                                       "127.0.0.1",
                                       "--replica-announce-port",
                                       std::to_string(gate->port()),
                                       "--repl-diskless-sync-delay",
                                       "0",
                                       "--repl-ping-replica-period",
                                       "1"};
        if (i > 0) {
            const std::string master = std::to_string(nodes_.front().gate->port());
            extra.insert(extra.end(), {"--replicaof", "127.0.0.1", master});
        }
        nodes_.push_back({std::make_unique<RedisProcess>(extra), std::move(gate)});
    }
    std::vector<int> ports;
    for (std::size_t i = 0; i < kSentinels; ++i) {
        ports.push_back(free_port());
    }
    for (std::size_t i = 0; i < kSentinels; ++i) {
        sentinels_.push_back(
            std::make_unique<SentinelProcess>(sentinel_config(i, ports), ports[i]));
    }
    for (const auto& sentinel : sentinels_) {
        // A busy machine is no reason to do nothing for half a minute; and changes are noticed sooner.
        sentinel->run({"SENTINEL", "DEBUG", "tilt-trigger", "60000", "info-period", "1000"});
    }
    if (!eventually([this] { return settled(); }, kPatience)) {
        throw std::runtime_error("the Sentinels did not find each other: " + logs());
    }
}

// All are told of each other from the start: finding out by themselves takes seconds.
std::vector<std::string> SentinelGroup::sentinel_config(
    std::size_t index, const std::vector<int>& sentinel_ports) const {
    const std::string of_master = std::string{kMaster} + ' ';
    std::vector<std::string> config{
        "sentinel myid " + id_of(index),
        "sentinel monitor " + of_master + "127.0.0.1 " +
            std::to_string(nodes_.front().gate->port()) + " 2",
        "sentinel down-after-milliseconds " + of_master + "2000",
        "sentinel failover-timeout " + of_master + "3000",
        "sentinel parallel-syncs " + of_master + "2",
    };
    for (std::size_t i = 1; i < kNodes; ++i) {
        config.push_back("sentinel known-replica " + of_master + "127.0.0.1 " +
                         std::to_string(nodes_[i].gate->port()));
    }
    for (std::size_t i = 0; i < kSentinels; ++i) {
        if (i != index) {
            config.push_back("sentinel known-sentinel " + of_master + "127.0.0.1 " +
                             std::to_string(sentinel_ports[i]) + ' ' + id_of(i));
        }
    }
    return config;
}

bool SentinelGroup::settled() const {
    for (std::size_t i = 1; i < kNodes; ++i) {
        if (!await_replica(i)) {
            return false;
        }
    }
    return std::all_of(sentinels_.begin(), sentinels_.end(), [](const auto& sentinel) {
        const std::string info = sentinel->run({"INFO", "sentinel"});
        return sentinel->run({"SENTINEL", "CKQUORUM", kMaster}).starts_with("OK 3") &&
               info.find("status=ok") != std::string::npos &&
               info.find("slaves=2,sentinels=3") != std::string::npos;
    });
}

std::string SentinelGroup::url() const {
    std::string url = "redis+sentinel://";
    for (const auto& sentinel : sentinels_) {
        url += (sentinel == sentinels_.front() ? "" : ",") + sentinel->address();
    }
    return url + '/' + kMaster;
}

std::string SentinelGroup::answer_of(const std::unique_ptr<SentinelProcess>& sentinel) const {
    return sentinel->run({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", kMaster});
}

std::string SentinelGroup::address_of(std::size_t index) const {
    return "127.0.0.1\n" + std::to_string(nodes_[index].gate->port());
}

std::size_t SentinelGroup::primary() const {
    std::vector<std::string> answers;
    for (const auto& sentinel : sentinels_) {
        answers.push_back(answer_of(sentinel));
    }
    std::size_t index = 0;
    while (index < kNodes && 2 * std::count(answers.begin(), answers.end(), address_of(index)) <=
                                 std::ssize(answers)) {
        ++index;
    }
    return index;
}

bool SentinelGroup::is_left(std::size_t index) const {
    return std::any_of(sentinels_.begin(), sentinels_.end(), [&](const auto& sentinel) {
        const std::string answer = answer_of(sentinel);
        return !answer.empty() && answer != address_of(index);
    });
}

std::size_t SentinelGroup::await_another(std::size_t than) const {
    std::size_t now = kNodes;
    const bool moved = eventually(
        [&] {
            now = primary();
            return now != than && now != kNodes;
        },
        kPatience);
    if (!moved) {
        throw std::runtime_error("the Sentinels made no other primary: " + logs());
    }
    return now;
}

bool SentinelGroup::await_replica(std::size_t index) const {
    return eventually(
        [&] {
            const std::string info = nodes_[index].redis->run({"INFO", "replication"});
            return info.find("role:slave") != std::string::npos &&
                   info.find("master_link_status:up") != std::string::npos;
        },
        kPatience);
}

std::string SentinelGroup::logs() const {
    std::string logs;
    for (const auto& sentinel : sentinels_) {
        logs += "--- Sentinel " + sentinel->address() + '\n' + sentinel->log();
    }
    return logs;
}

}  // namespace holdfast::test
