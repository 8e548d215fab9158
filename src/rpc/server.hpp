#pragma once

// The gRPC server: listens, turns the queues, serves LockService, AdminService and health by them, and
// reflection by gRPC's own means.
//
// stop() goes in this order: no new connections and calls; calls under way may end until `grace`
// has passed, then gRPC cancels them; every call is answered or cancelled before the queues are
// shut down; the queues are emptied and their threads joined. Have the shards drained before, so
// that those who wait hear DRAINING; the shards must still run.

#include "core/limits.hpp"
#include "core/shards.hpp"
#include "rpc/admin_port.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::rpc {

// The RPCs that are served and counted, and gRPC's status codes, both by index.
inline constexpr std::array kMethods = std::to_array<std::string_view>({
    "Acquire",
    "Release",
    "Renew",
    "GetLock",
    "ListLocks",
    "Validate",
    "Hold",
    "Session",
    "Convert",
    "Watch",
    "GetStatus",
    "Revoke",
    "ForceRelease",
    "AcquireAll",
    "Explain",
    "ListSessions",
    "Drain",
});
consteval std::size_t method_index(std::string_view name) {
    const auto* const found = std::find(kMethods.begin(), kMethods.end(), name);
    return found == kMethods.end() ? throw "no such method"
                                   : static_cast<std::size_t>(found - kMethods.begin());
}
extern const std::array<std::string_view, 17> kStatusCodes;

struct ServerSettings {
    std::vector<std::string> listen;  // "host:port" (port 0: any free one) or "unix:/path"
    std::size_t queues = 1;           // completion queues, each with a thread
    // Told of each call as it is answered: an index into kMethods, one into kStatusCodes, and the
    // time since the call arrived (of a stream: its life). From any thread.
    std::function<void(std::size_t method, std::size_t code, core::Duration took)> on_answer;
    AdminPort admin;
};

// An address cannot be listened on. what() names it.
class CannotListen : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Server {
public:
    // What is handed over outlives the server.
    Server(const ServerSettings& settings,
           const core::Clock& clock,
           const core::Limits& limits,
           core::Shards& shards);
    ~Server();  // stops it if it runs

    // Throws CannotListen.
    void start();
    // Where it listens, with the ports that were chosen.
    std::vector<std::string> addresses() const;

    // What grpc.health.v1 answers for "" and for each service; NOT_SERVING at first. From any
    // thread.
    void set_serving(bool serving);

    // The streams that are open, at most `most`; whether there are more. From any thread.
    core::PeerAnswer streams(std::size_t most) const;

    // Not from a queue's or a shard's thread.
    void stop(core::Milliseconds grace);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::rpc
