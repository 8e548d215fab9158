#pragma once

// A Redis with two replicas, and three Sentinels that look after them, as real processes. Each Redis is
// known by the port of a gate of its own, so that it can be cut off: from everybody, or from the Sentinels.

#include "support/redis_process.hpp"
#include "support/sentinel_process.hpp"
#include "support/tcp_gate.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

class SentinelGroup {
public:
    struct Node {
        std::unique_ptr<RedisProcess> redis;
        std::unique_ptr<TcpGate> gate;

        // From clients, replicas and Sentinels, as a network does it: what is sent waits.
        void cut_off(bool on);
        void cut_off_from_sentinels(bool on);
        void cut_off_from_replicas(bool on);
    };

    // Returns when every Sentinel knows the others and both replicas.
    SentinelGroup();

    std::string url() const;  // for the daemon
    Node& node(std::size_t index) { return nodes_[index]; }
    SentinelProcess& sentinel(std::size_t index) { return *sentinels_[index]; }
    static constexpr std::size_t kSentinels = 3;

    // Whose address most Sentinels give.
    std::size_t primary() const;
    // Some Sentinel gives another address than this one's.
    bool is_left(std::size_t index) const;
    // Waits until another than this is the primary. Throws if that does not happen.
    std::size_t await_another(std::size_t than) const;
    // Waits until this one is a replica whose link is up.
    bool await_replica(std::size_t index) const;
    std::string logs() const;

private:
    std::vector<std::string> sentinel_config(std::size_t index,
                                             const std::vector<int>& sentinel_ports) const;
    bool settled() const;
    std::string answer_of(const std::unique_ptr<SentinelProcess>& sentinel) const;
    std::string address_of(std::size_t index) const;

    std::vector<Node> nodes_;
    std::vector<std::unique_ptr<SentinelProcess>> sentinels_;
};

}  // namespace holdfast::test
