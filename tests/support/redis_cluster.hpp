#pragma once

// A Redis Cluster of real processes: three primaries, each with a replica. Node i + 3 begins as the replica
// of node i.

#include "redis/cluster_map.hpp"
#include "support/certificates.hpp"
#include "support/redis_process.hpp"
#include "support/tcp_gate.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

class RedisCluster {
public:
    struct Tls {
        Certificate certificate;  // of every node, as server and as client
        std::string ca;           // who signed it, and must have signed a client's
    };
    struct Options {
        std::vector<std::string> extra = {};    // more arguments for each redis-server
        std::optional<Tls> tls = std::nullopt;  // nothing is plain: clients, bus, replication
        bool gated = false;                     // each node is behind gates, to be cut off
    };
    // Returns when all know each other, and every replica has its primary's data.
    explicit RedisCluster(Options options);

    std::string url() const;  // for the daemon: of two nodes
    static constexpr std::size_t kPrimaries = 3;
    std::size_t size() const { return nodes_.size(); }
    RedisProcess& node(std::size_t index) { return *nodes_[index].redis; }
    int port(std::size_t index) const { return nodes_[index].port; }
    std::string address(std::size_t index) const;
    const std::string& id(std::size_t index) const { return nodes_[index].id; }
    std::string run(std::size_t index, const std::vector<std::string>& arguments) const;

    // Who serves the key's slot, in its own words; size() if nobody does.
    std::size_t owner(std::string_view key) const;
    // Waits for another than this.
    std::size_t await_other_owner(std::string_view key, std::size_t than) const;
    // In the view of one node, while others cannot be asked, or are mistaken.
    std::size_t owner_as_seen_by(std::size_t node, std::string_view key) const;
    bool await_replica(std::size_t index) const;
    // In the view of each of these that run: all slots are served.
    bool await_ok() const;

    // With gates, as a network does it: what is sent waits. From the other nodes only (its bus, both ways, and
    // its replica), or from clients, too.
    void cut_off_from_nodes(std::size_t index, bool on) const;
    void cut_off(std::size_t index, bool on) const;

    // A primary without slots, that all know.
    std::size_t add_node();
    // By redis-cli, as an operator does it. Its output, if it has failed.
    std::string reshard(std::size_t from, std::size_t to, std::size_t slots) const;
    // A primary that is down, and its replica too, has no slots any more; another takes them over, empty.
    void give_slots_of_lost(std::size_t lost, std::size_t to) const;
    // Step by step: what is left half done is a slot on its way.
    void begin_move(redis::Slot slot, std::size_t from, std::size_t to) const;
    void move_keys(redis::Slot slot, std::size_t from, std::size_t to) const;
    void end_move(redis::Slot slot, std::size_t from, std::size_t to) const;

private:
    struct Node {
        std::unique_ptr<RedisProcess> redis;
        int port = 0;  // as it is known to clients and other nodes
        int bus = 0;
        std::string from;  // it connects from this address to the others
        std::string id;
        std::unique_ptr<TcpGate> gate;
        std::unique_ptr<TcpGate> bus_gate;
    };

    std::size_t start_node();
    std::vector<std::string> put_behind_gates(Node& node) const;
    void meet(std::size_t index) const;
    redis::ClusterView view(std::size_t of) const;

    const Options options_;
    std::vector<Node> nodes_;
};

}  // namespace holdfast::test
