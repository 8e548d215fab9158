#pragma once

// A Redis Cluster of real processes: three primaries, each with a replica. Node i + 3 begins as the replica
// of node i.

#include "redis/cluster_map.hpp"
#include "support/redis_process.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

class RedisCluster {
public:
    // `extra`: more arguments for each redis-server. Returns when all know each other, and every replica
    // has its primary's data.
    explicit RedisCluster(std::vector<std::string> extra = {});

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
    bool await_replica(std::size_t index) const;
    // In the view of each of these that run: all slots are served.
    bool await_ok() const;

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
        int port = 0;
        int bus = 0;
        std::string id;
    };

    std::size_t start_node();
    void meet(std::size_t index) const;
    redis::ClusterView view(std::size_t of) const;

    const std::vector<std::string> extra_;
    std::vector<Node> nodes_;
};

}  // namespace holdfast::test
