#pragma once

// A store that is a Redis Cluster: what SingleSite is for one primary, for each of its primaries.
//
// Ready while any primary serves; what the others lack is a warning, as only their locks are concerned:
//   down          the Cluster is not known, a primary that has slots has not been tried yet, or none answers
//   closed        nothing is granted anywhere yet
//   ready         else. Warnings (Check "cluster") name primaries that do not answer, those where new grants
//                 wait, and slots that nobody serves
//   misconfigured any primary's canary has another max_ttl
//
// Slots that came from a primary that was not known to be well (it did not answer, or granted nothing itself)
// may have left leases behind there: who has them now grants nothing for as long as a lease may last.

#include "daemon/preflight.hpp"
#include "daemon/store_probe.hpp"
#include "daemon/store_site.hpp"
#include "redis/slot_client.hpp"
#include "store/cluster_lock_store.hpp"
#include "store/permissions.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::daemon {

class ClusterSite final : public StoreSite {
public:
    ClusterSite(const Base& base, Listener listener);
    ~ClusterSite() override;

    void start() override;
    void stop() override;

    core::LockStore& locks() override { return locks_; }
    redis::Client& client() override { return stations_; }
    redis::Settings inbox() const override;
    std::int64_t store_time(core::Instant at) const override;
    redis::Pool::Status status() const override { return cluster_.status(); }
    store::ClockSet clock_set() const override;
    std::uint64_t moves() const override { return moves_; }
    void authenticate_anew(const std::function<void(std::string_view error)>& refused) override;

private:
    struct Member;

    Member& member(redis::Cluster::Node& node);
    void on_link(redis::Cluster::Node& node, const redis::ServerInfo* server);
    void on_map(const std::vector<redis::ClusterMap::Change>& changes,
                const std::optional<redis::Address>& asked);
    void on_gone(redis::Cluster::Node& node);
    void on_change(const redis::ClusterMap::Change& change);
    bool is_well(const redis::Address& primary) const;
    void found(Member& one, Condition condition);
    void checked(Member& one, const std::vector<Check>& checks);
    void watch();
    void report();
    Condition summary() const;
    Check cluster_check() const;

    const Base base_;
    Listener listener_;
    redis::Cluster cluster_;
    const redis::Slot stations_slot_;
    redis::SlotClient stations_;
    store::ClusterLockStore locks_;
    std::map<std::string, std::unique_ptr<Member>> members_;  // by address
    std::vector<std::unique_ptr<Member>> gone_;  // until what their pools have posted has run
    core::Timer watching_;
    store::ClockSet clock_set_of_gone_;
    std::uint64_t moves_ = 0;
    bool begun_ = false;  // the first map was known a while ago
    std::vector<Check> reported_;
};

}  // namespace holdfast::daemon
