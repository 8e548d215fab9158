#include "store/cluster_home.hpp"

#include <algorithm>

namespace holdfast::store {
namespace {

// An order of all slots in which neighbours, as they are moved together, are far apart.
redis::Slot slot_at(std::size_t place) {
    constexpr std::size_t kFactor = 167;  // odd
    constexpr std::size_t kFirst = 15'673;
    return static_cast<redis::Slot>((place * kFactor + kFirst) % redis::kSlots);
}

}  // namespace

ClusterHome::ClusterHome(redis::Cluster::Node& node,
                         const core::Clock& clock,
                         const RedisLockStore::Options& options)
    : node_(node), store_(node, clock, options) {}

bool ClusterHome::usable() const {
    return node_.up() && store_.canary().verified() && store_.knows_time();
}

bool ClusterHome::worth_waiting() const {
    return node_.up() || !node_.tried();
}

std::string ClusterHome::why_not() const {
    const std::string who = "the primary " + node_.address().text();
    if (!node_.up()) {
        const std::string why = node_.pool().status().last_error;
        return why.empty() ? who + " is not connected" : why;
    }
    return who + (slot_ ? " has not told yet what it remembers" : " has no slots yet");
}

bool ClusterHome::follow(const redis::ClusterMap& map, bool by_itself) {
    if (by_itself && !has_slots(map) && node_.up()) {
        store_.canary().is_blank();
    }
    std::erase_if(avoided_, [&](redis::Slot slot) {
        return !map.owns(node_.address(), slot) || (by_itself && !is_leaving(map, slot));
    });
    return settle(map);
}

bool ClusterHome::avoid(const redis::ClusterMap& map, const std::string& message) {
    const auto redirect = redis::parse_redirect(
        answer_in({core::StoreFailure::not_executed, message}), node_.address());
    if (!redirect || redirect->kind != redis::Redirect::Kind::ask || redirect->slot != slot_) {
        return false;
    }
    avoided_.insert(*slot_);
    return settle(map);
}

bool ClusterHome::is_elsewhere(const std::string& message) const {
    const auto redirect = redis::parse_redirect(
        answer_in({core::StoreFailure::not_executed, message}), node_.address());
    return redirect && redirect->kind == redis::Redirect::Kind::moved;
}

bool ClusterHome::has_slots(const redis::ClusterMap& map) const {
    return !map.slots_of(node_.address()).empty();
}

// In the node's own words, which are the last view.
bool ClusterHome::is_leaving(const redis::ClusterMap& map, redis::Slot slot) const {
    const auto& view = map.last_view();
    return std::any_of(view.begin(), view.end(), [&](const redis::ClusterNode& node) {
        return node.myself &&
               std::find(node.leaving.begin(), node.leaving.end(), slot) != node.leaving.end();
    });
}

bool ClusterHome::settle(const redis::ClusterMap& map) {
    const std::string id = map.id_of(node_.address());
    if (id.empty() || !has_slots(map)) {
        return false;
    }
    for (std::size_t place = 0; place < redis::kSlots; ++place) {
        const redis::Slot best = slot_at(place);
        if (!map.owns(node_.address(), best) || avoided_.contains(best)) {
            continue;
        }
        const bool another = slot_ != best;
        slot_ = best;
        if (another) {
            store_.canary().settle(redis::tag_for(best), id);
        }
        return another;
    }
    return false;
}

}  // namespace holdfast::store
