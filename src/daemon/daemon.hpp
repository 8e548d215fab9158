#pragma once

// The composition root: makes the parts of a daemon from its settings and wires them. main() and
// the tests start the same one.
//
// start: listen, then connect to the store; calls that come before it answers wait for it or are
// told. stop:  NOT_SERVING, those who wait hear DRAINING, leases that nobody listens for are handed to
//        other daemons, calls under way end, then the threads. Leases stay in the store: any other daemon
//        can renew and release them.

#include "admin/http_server.hpp"
#include "admin/metrics.hpp"
#include "daemon/logging.hpp"
#include "daemon/pages.hpp"
#include "daemon/readiness.hpp"
#include "daemon/settings.hpp"
#include "redis/settings.hpp"
#include "rpc/server.hpp"
#include "store/peer_codec.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::daemon {

// Where the store is and how to get in, from the settings. Throws std::runtime_error if a file of a
// password or of TLS is unusable; it says which and why.
redis::Settings store_settings(const Settings& settings);

class Daemon {
public:
    // `store` is settings' own or that of an embedded Redis.
    // `on_drain`: AdminService was asked to end the daemon; called at most once, from any thread.
    Daemon(const Settings& settings,
           const redis::Settings& store,
           Logger logger,
           std::function<void()> on_drain = {});
    ~Daemon();

    // Throws rpc::CannotListen or admin::CannotListen.
    void start();
    // Not from one of its threads; once.
    void stop();
    // Takes the store's user, password and TLS from these settings, and from their files, anew. They are
    // used for new connections, and the password is shown on those that are up. Refuses nothing
    // meanwhile. If something is wrong with them, all stays as it was. Says in the log how it went.
    void reload(const Settings& settings);

    std::vector<std::string> addresses() const { return server_->addresses(); }
    // Of the HTTP port; empty if there is none.
    std::string http_address() const { return http_ ? http_->address() : ""; }
    Readiness& readiness() { return *readiness_; }

private:
    struct Parts;  // of one shard

    rpc::AdminPort admin_port();
    void on_readiness(const Condition& now);
    template <class Read>
    auto ask_shards(Read read)
        -> std::vector<std::optional<decltype(read(std::declval<Parts&>()))>>;
    std::vector<std::optional<ShardReport>> survey();
    core::PeerAnswer answer(Parts& parts, const core::PeerQuestion& question);
    void adopt(Parts& parts, store::Offers::Offer offer);
    void await_handover(core::Instant until);
    void drain(std::optional<core::Milliseconds> most);

    Settings settings_;
    Logger logger_;
    std::function<void()> on_drain_;
    const std::string name_;
    std::atomic<core::Milliseconds> drain_timeout_;
    std::atomic<bool> draining_{false};
    core::SystemClock clock_;
    admin::Metrics metrics_{rpc::kMethods, rpc::kStatusCodes};
    std::unique_ptr<Readiness> readiness_;
    std::shared_ptr<redis::Access> access_;
    std::string unfit_;  // why the shards grant nothing; of on_readiness(), one call at a time
    std::vector<std::unique_ptr<Parts>> parts_;
    std::unique_ptr<core::Shards> shards_;
    std::unique_ptr<rpc::Server> server_;
    std::unique_ptr<admin::HttpServer> http_;
    bool running_ = false;
};

}  // namespace holdfast::daemon
