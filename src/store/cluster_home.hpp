#pragma once

// One primary of a Cluster, as a store of the locks in its slots: a RedisLockStore whose canary is apart, and
// the choice of the slot that the canary is in.
//
//   connecting  no connection has come up, nor failed, yet: calls wait for it
//   down        none is up: calls are refused
//   unsettled   up, but it has no slot (yet) that could hold a canary: nothing is sent; calls wait
//   looking     nothing is known of its memory (a new incarnation, or the looks are not answered): calls wait
//   usable      calls are sent. What was lost there, or may have been lost with slots that came from a
//               primary that is gone, is a matter of the canary: nothing is granted then for max_ttl
//
// The canary is in the slot that comes first, of those that the node has now, in an order that is the same for
// all daemons: so all look at one canary, whenever they came, and what one has written there holds for all, but
// for the moment in which only some know that slots have come or gone. A slot that is being moved away (the look
// is answered with ASK) is passed over, until the node says that it is not.
//
// At first contact an absent canary is that of a node which lost it, or whose slots have just come: how long
// the node has been up tells nothing of what its slots have lost elsewhere. So new grants wait, unless it was
// seen without slots before, or all is said to be new (assume_new).

#include "redis/cluster.hpp"
#include "store/redis_lock_store.hpp"

#include <optional>
#include <set>
#include <string>

namespace holdfast::store {

class ClusterHome {
public:
    ClusterHome(redis::Cluster::Node& node,
                const core::Clock& clock,
                const RedisLockStore::Options& options);

    redis::Cluster::Node& node() { return node_; }
    RedisLockStore& store() { return store_; }

    bool usable() const;
    // It may be usable soon.
    bool worth_waiting() const;
    // Why it is not usable.
    std::string why_not() const;

    // The map has been told anew. `by_itself`: in the node's own words. True if the canary is elsewhere now,
    // and it should be looked at.
    bool follow(const redis::ClusterMap& map, bool by_itself);
    // A look has failed, with this message. True if the canary is in another slot for it, and should be looked
    // at.
    bool avoid(const redis::ClusterMap& map, const std::string& message);
    // It has failed since the slot is another node's, whatever the map says.
    bool is_elsewhere(const std::string& message) const;

private:
    bool has_slots(const redis::ClusterMap& map) const;
    bool is_leaving(const redis::ClusterMap& map, redis::Slot slot) const;
    bool settle(const redis::ClusterMap& map);

    redis::Cluster::Node& node_;
    RedisLockStore store_;
    std::optional<redis::Slot> slot_;  // of the canary
    std::set<redis::Slot> avoided_;    // as they are being moved
};

}  // namespace holdfast::store
