#include "support/redis_cluster.hpp"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <stdexcept>

namespace holdfast::test {
namespace {

constexpr std::chrono::seconds kPatience{60};

bool serves(const redis::ClusterNode& node, redis::Slot slot) {
    return std::any_of(node.slots.begin(), node.slots.end(), [&](const auto& range) {
        return range.first <= slot && slot <= range.second;
    });
}

}  // namespace

RedisCluster::RedisCluster(Options options) : options_(std::move(options)) {
    constexpr std::size_t kShare = redis::kSlots / kPrimaries;
    for (std::size_t i = 0; i < 2 * kPrimaries; ++i) {
        start_node();
    }
    for (std::size_t i = 0; i < kPrimaries; ++i) {
        const std::size_t last = i + 1 == kPrimaries ? redis::kSlots - 1 : (i + 1) * kShare - 1;
        run(i, {"CLUSTER", "ADDSLOTSRANGE", std::to_string(i * kShare), std::to_string(last)});
        run(i, {"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    }
    for (std::size_t i = 1; i < size(); ++i) {
        meet(i);
    }
    const bool met = eventually(
        [this] {
            for (std::size_t i = 0; i < size(); ++i) {
                if (view(i).size() < size()) {
                    return false;
                }
            }
            return true;
        },
        kPatience);
    bool ready = met;
    for (std::size_t i = kPrimaries; i < size() && ready; ++i) {
        ready = eventually(
            [&] {
                return run(i, {"CLUSTER", "REPLICATE", id(i - kPrimaries)}) == "OK";
            },
            kPatience);
    }
    for (std::size_t i = kPrimaries; i < size() && ready; ++i) {
        ready = await_replica(i);
    }
    if (!ready || !await_ok()) {
        throw std::runtime_error("the Cluster did not come up: " + node(0).log());
    }
}

std::size_t RedisCluster::start_node() {
    Node node;
    node.port = free_port();
    node.bus = free_port();
    std::vector<std::string> arguments{"--cluster-enabled",
                                       "yes",
                                       "--cluster-port",
                                       std::to_string(node.bus),
                                       "--cluster-node-timeout",
                                       "1500",
                                       "--cluster-replica-validity-factor",
                                       "0",
                                       "--repl-diskless-sync-delay",
                                       "0",
                                       "--repl-ping-replica-period",
                                       "1"};
    const auto add = [&](const std::vector<std::string>& more) {
        arguments.insert(arguments.end(), more.begin(), more.end());
    };
    if (options_.tls) {
        add(tls_arguments(node.port, options_.tls->certificate, options_.tls->ca));
        add({"--port", "0", "--tls-cluster", "yes", "--tls-replication", "yes"});
    } else {
        add({"--port", std::to_string(node.port)});
    }
    if (options_.gated) {
        add(put_behind_gates(node));
    }
    add(options_.extra);
    node.redis = std::make_unique<RedisProcess>(arguments);
    node.id = node.redis->run({"CLUSTER", "MYID"});
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
}

// What the node has to announce then. It tells by an address of its own who connects.
std::vector<std::string> RedisCluster::put_behind_gates(Node& node) const {
    node.from = "127.0.0." + std::to_string(11 + size());
    node.gate = std::make_unique<TcpGate>(node.port);
    node.bus_gate = std::make_unique<TcpGate>(node.bus);
    node.port = node.gate->port();
    node.bus = node.bus_gate->port();
    return {"--bind-source-addr",
            node.from,
            "--cluster-announce-ip",
            "127.0.0.1",
            "--cluster-announce-port",
            std::to_string(node.port),
            "--cluster-announce-bus-port",
            std::to_string(node.bus)};
}

void RedisCluster::cut_off_from_nodes(std::size_t index, bool on) const {
    const Node& node = nodes_[index];
    node.bus_gate->hold_requests(on);
    node.bus_gate->hold_replies(on);
    node.gate->hold_from(on ? nodes_[(index + kPrimaries) % size()].from : "");
    for (const Node& other : nodes_) {
        if (&other != &node) {
            other.bus_gate->hold_from(on ? node.from : "");
        }
    }
}

void RedisCluster::cut_off(std::size_t index, bool on) const {
    cut_off_from_nodes(index, on);
    nodes_[index].gate->hold_requests(on);
    nodes_[index].gate->hold_replies(on);
}

void RedisCluster::meet(std::size_t index) const {
    const Node& node = nodes_[index];
    run(0, {"CLUSTER", "MEET", "127.0.0.1", std::to_string(node.port), std::to_string(node.bus)});
}

std::string RedisCluster::url() const {
    const std::string scheme = options_.tls ? "rediss" : "redis";
    return scheme + "+cluster://" + address(0) + ',' + address(1);
}

std::string RedisCluster::address(std::size_t index) const {
    return "127.0.0.1:" + std::to_string(port(index));
}

std::string RedisCluster::run(std::size_t index, const std::vector<std::string>& arguments) const {
    return nodes_[index].redis->run(arguments);
}

redis::ClusterView RedisCluster::view(std::size_t of) const {
    std::string nodes = run(of, {"CLUSTER", "NODES"});
    // To who asks without TLS they name the plain port.
    for (auto at = nodes.find(":0@"); at != std::string::npos; at = nodes.find(":0@")) {
        nodes.replace(at, 3, ":1@");
    }
    return redis::parse_cluster_nodes(
        nodes, {"127.0.0.1", static_cast<std::uint16_t>(port(of))}, false);
}

std::size_t RedisCluster::owner(std::string_view key) const {
    const redis::Slot slot = redis::slot_of(key);
    for (std::size_t i = 0; i < size(); ++i) {
        for (const redis::ClusterNode& node : view(i)) {
            if (node.myself && serves(node, slot)) {
                return i;
            }
        }
    }
    return size();
}

std::size_t RedisCluster::owner_as_seen_by(std::size_t node, std::string_view key) const {
    const redis::Slot slot = redis::slot_of(key);
    const auto all = view(node);
    const auto owner =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return serves(one, slot); });
    const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& one) {
        return owner != all.end() && one.id == owner->id;
    });
    return static_cast<std::size_t>(found - nodes_.begin());
}

std::size_t RedisCluster::await_other_owner(std::string_view key, std::size_t than) const {
    std::size_t now = size();
    const bool moved = eventually(
        [&] {
            now = owner(key);
            return now != than && now != size();
        },
        kPatience);
    if (!moved) {
        throw std::runtime_error("nobody else serves " + std::string{key});
    }
    return now;
}

bool RedisCluster::await_replica(std::size_t index) const {
    return eventually(
        [&] {
            const std::string info = run(index, {"INFO", "replication"});
            return info.find("role:slave") != std::string::npos &&
                   info.find("master_link_status:up") != std::string::npos;
        },
        kPatience);
}

bool RedisCluster::await_ok() const {
    return eventually(
        [this] {
            for (std::size_t i = 0; i < size(); ++i) {
                const std::string info = run(i, {"CLUSTER", "INFO"});
                if (!info.empty() && info.find("cluster_state:ok") == std::string::npos) {
                    return false;
                }
            }
            return true;
        },
        kPatience);
}

std::size_t RedisCluster::add_node() {
    const std::size_t index = start_node();
    meet(index);
    const bool known = eventually(
        [&] {
            for (std::size_t i = 0; i < size(); ++i) {
                const auto all = view(i);
                if (!all.empty() && all.size() < size()) {
                    return false;
                }
            }
            return true;
        },
        kPatience);
    if (!known) {
        throw std::runtime_error("the new node is not known to all");
    }
    return index;
}

std::string RedisCluster::reshard(std::size_t from, std::size_t to, std::size_t slots) const {
    const TempDir directory;
    const std::string log = directory.file("log");
    const auto redis_cli = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"redis-cli", "--cluster"});
        if (options_.tls) {
            const Certificate& own = options_.tls->certificate;
            arguments.insert(
                arguments.end(),
                {"--tls", "--cacert", options_.tls->ca, "--cert", own.cert, "--key", own.key});
        }
        return Process{arguments, log}.wait(kPatience) == 0;
    };
    // It refuses while the nodes have not heard of the last time yet.
    eventually([&] { return redis_cli({"check", address(to)}); }, kPatience);
    const bool moved = redis_cli({"reshard",
                                  address(to),
                                  "--cluster-from",
                                  id(from),
                                  "--cluster-to",
                                  id(to),
                                  "--cluster-slots",
                                  std::to_string(slots),
                                  "--cluster-yes"});
    return moved ? "" : "redis-cli: " + read_file(log);
}

void RedisCluster::give_slots_of_lost(std::size_t lost, std::size_t to) const {
    std::vector<std::string> slots;
    for (const redis::ClusterNode& node : view(to)) {
        for (const auto& [first, last] :
             node.id == id(lost) ? node.slots : decltype(node.slots){}) {
            slots.push_back(std::to_string(first));
            slots.push_back(std::to_string(last));
        }
    }
    const auto tell = [&](std::size_t index, const std::string& what) {
        std::vector<std::string> command{"CLUSTER", what};
        command.insert(command.end(), slots.begin(), slots.end());
        return run(index, command);
    };
    for (std::size_t i = 0; i < size(); ++i) {
        tell(i, "DELSLOTSRANGE");
    }
    if (tell(to, "ADDSLOTSRANGE") != "OK") {
        throw std::runtime_error("the slots are not taken: " + nodes_[to].redis->log());
    }
}

void RedisCluster::begin_move(redis::Slot slot, std::size_t from, std::size_t to) const {
    run(to, {"CLUSTER", "SETSLOT", std::to_string(slot), "IMPORTING", id(from)});
    run(from, {"CLUSTER", "SETSLOT", std::to_string(slot), "MIGRATING", id(to)});
}

void RedisCluster::move_keys(redis::Slot slot, std::size_t from, std::size_t to) const {
    std::istringstream keys{run(from, {"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), "1000"})};
    for (std::string key; std::getline(keys, key);) {
        run(from, {"MIGRATE", "127.0.0.1", std::to_string(port(to)), key, "0", "5000"});
    }
}

void RedisCluster::end_move(redis::Slot slot, std::size_t from, std::size_t to) const {
    for (const std::size_t index : {to, from}) {
        run(index, {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", id(to)});
    }
}

}  // namespace holdfast::test
