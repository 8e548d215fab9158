#pragma once

// A store that is one primary at a time, at a fixed address or where Sentinels say.

#include "daemon/durability.hpp"
#include "daemon/permission_watch.hpp"
#include "daemon/preflight.hpp"
#include "daemon/store_probe.hpp"
#include "daemon/store_site.hpp"
#include "redis/sentinels.hpp"

#include <memory>
#include <optional>

namespace holdfast::daemon {

class SingleSite final : public StoreSite {
public:
    SingleSite(const Base& base, Listener listener);

    void start() override;
    void stop() override;

    core::LockStore& locks() override { return durability_.store(); }
    redis::Client& client() override { return pool_; }
    redis::Settings inbox() const override { return where_; }
    std::int64_t store_time(core::Instant at) const override { return store_.store_time(at); }
    redis::Pool::Status status() const override { return pool_.status(); }
    store::ClockSet clock_set() const override { return store_.clock_set(); }
    std::uint64_t moves() const override { return sentinels_ ? sentinels_->moves() : 0; }
    store::Replication::Counters waits() const override { return durability_.counters(); }
    void authenticate_anew(const std::function<void(std::string_view error)>& refused) override;

private:
    std::shared_ptr<redis::Sentinels> make_sentinels(const Base& base);
    void on_primary(const std::optional<redis::Address>& from, const redis::Address& to);
    void relocate();
    store::RedisLockStore::Options options(const Base& base);
    void on_link(const redis::ServerInfo* server);

    Listener listener_;
    const bool checks_;
    std::shared_ptr<redis::Sentinels> sentinels_;  // empty: the store has a fixed address
    redis::Settings where_;
    redis::Pool pool_;
    store::RedisLockStore store_;
    Durability durability_;
    PermissionWatch permissions_;
    StoreProbe probe_;
    Preflight preflight_;
};

}  // namespace holdfast::daemon
