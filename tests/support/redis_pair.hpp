#pragma once

// A Redis and its replica, whose link goes through a gate.

#include "support/redis_process.hpp"
#include "support/tcp_gate.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::test {

class RedisPair {
public:
    // Returns when the replica follows.
    RedisPair() {
        replica.run({"REPLICAOF", "127.0.0.1", std::to_string(link.port())});
        // Its link is up before the primary has heard of it, and takes its acknowledgements.
        const auto known = [this] {
            const std::string info = primary.run({"INFO", "replication"});
            return info.find("state=online") != std::string::npos &&
                   info.find("offset=0,") == std::string::npos;
        };
        if (!eventually([&] { return follows() && known(); }, std::chrono::seconds{30})) {
            throw std::runtime_error("the replica does not follow: " + replica.log());
        }
    }

    // As a network does it: what is sent waits.
    void cut(bool on) {
        link.hold_requests(on);
        link.hold_replies(on);
    }
    bool follows() const {
        return replica.run({"INFO", "replication"}).find("master_link_status:up") !=
               std::string::npos;
    }

    RedisProcess primary{{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}};
    TcpGate link{primary.port()};
    RedisProcess replica;
};

}  // namespace holdfast::test
