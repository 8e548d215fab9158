#include "daemon/cluster_site.hpp"

#include "daemon/permission_watch.hpp"
#include "store/redis_peers.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace holdfast::daemon {
namespace {

using Level = Condition::Level;

constexpr core::Milliseconds kInterval{1000};

store::RedisLockStore::Options apart(store::RedisLockStore::Options options, bool assume_new) {
    options.canary.apart = true;
    options.canary.assume_new = assume_new;
    return options;
}

CheckOptions at(CheckOptions options, const redis::Address& where) {
    options.where = where.text() + ": ";
    return options;
}

void add(std::string& to, const std::string& text) {
    to += (to.empty() ? "" : "; ") + text;
}

// The worst of each, with the words of all.
void merge(std::vector<Check>& into, const std::vector<Check>& more) {
    if (into.empty()) {
        into = more;
        return;
    }
    for (std::size_t i = 0; i < into.size() && i < more.size(); ++i) {
        into[i].severity = std::max(into[i].severity, more[i].severity);
        if (!more[i].text.empty()) {
            add(into[i].text, more[i].text);
        }
    }
}

}  // namespace

// One primary. Destroyed in reverse.
struct ClusterSite::Member {
    Member(ClusterSite& site, redis::Cluster::Node& node, bool assume_new)
        : home(
              node, site.base_.clock, apart(store_options(site.base_, site.listener_), assume_new)),
          permissions(node,
                      home.store().canary(),
                      site.base_.settings.store.prefix,
                      site.base_.settings.store.command_timeout),
          probe(node.pool(),
                home.store().canary(),
                site.base_.clock,
                site.base_.timers,
                site.base_.settings.store.command_timeout,
                [this, &site](Condition found) { site.found(*this, std::move(found)); }),
          preflight(node,
                    site.base_.clock,
                    site.base_.timers,
                    site.base_.logger,
                    at(check_options(site.base_), node.address()),
                    site.base_.settings.store.command_timeout,
                    [this, &site](const auto& found) { site.checked(*this, found); }) {
        home.store().on_clock_set(site.listener_.on_clock_set);
    }

    const redis::Address& address() { return home.node().address(); }

    store::ClusterHome home;
    PermissionWatch permissions;
    StoreProbe probe;
    Preflight preflight;
    Condition condition{Level::down, "it has not answered yet"};
    std::vector<Check> checks;
    bool heard = false;     // it has answered, or failed to
    bool to_renew = false;  // as soon as it is there: leases may have to be put back
};

ClusterSite::ClusterSite(const Base& base, Listener listener)
    : base_(base),
      listener_(std::move(listener)),
      cluster_(base.context,
               base.where,
               {[this](auto& node, const auto* server) { on_link(node, server); },
                [this](const auto& changes, const auto& asked) { on_map(changes, asked); },
                [this](auto& node) { on_gone(node); },
                [this] { listener_.on_inbox_moved(); }}),
      stations_slot_(redis::slot_of(store::RedisPeers::key_of(base.settings.store.prefix))),
      stations_(cluster_, base.context, stations_slot_),
      locks_(cluster_, base.clock, base.timers, base.settings.store.prefix),
      watching_(base.timers) {}

ClusterSite::~ClusterSite() {
    cluster_.stop();
}

void ClusterSite::start() {
    cluster_.start();
    watch();
}

void ClusterSite::stop() {
    cluster_.stop();
}

redis::Settings ClusterSite::inbox() const {
    redis::Settings where = base_.where;
    where.cluster.clear();
    where.topology = cluster_.inbox();
    return where;
}

void ClusterSite::authenticate_anew(const std::function<void(std::string_view error)>& refused) {
    for (const auto& [address, one] : members_) {
        one->permissions.look_again();
        one->home.node().pool().authenticate_anew(refused);
    }
}

// Of the primary that has the stations.
std::int64_t ClusterSite::store_time(core::Instant at) const {
    for (const auto& [address, one] : members_) {
        if (cluster_.map().owns(one->address(), stations_slot_)) {
            return one->home.store().store_time(at);
        }
    }
    return 0;
}

store::ClockSet ClusterSite::clock_set() const {
    store::ClockSet total = clock_set_of_gone_;
    for (const auto& [address, one] : members_) {
        total.forward += one->home.store().clock_set().forward;
        total.backward += one->home.store().clock_set().backward;
    }
    return total;
}

ClusterSite::Member& ClusterSite::member(redis::Cluster::Node& node) {
    auto& one = members_[node.address().text()];
    if (!one) {
        one = std::make_unique<Member>(*this, node, base_.settings.store.assume_new && !begun_);
        one->to_renew = begun_;
        locks_.add(one->home);
        if (one->home.follow(cluster_.map(), false) && node.up()) {
            one->probe.probe();
        }
    }
    return *one;
}

void ClusterSite::on_link(redis::Cluster::Node& node, const redis::ServerInfo* server) {
    Member& one = member(node);
    if (server != nullptr) {
        one.permissions.look_again();
        one.home.store().connected_to(*server);
        listener_.on_up();
        if (base_.checks) {
            one.preflight.look();
        }
    }
    one.probe.probe();
}

void ClusterSite::on_map(const std::vector<redis::ClusterMap::Change>& changes,
                         const std::optional<redis::Address>& asked) {
    for (redis::Cluster::Node* node : cluster_.nodes()) {
        member(*node);
    }
    // Before any canary goes to another slot for it, as one that is open goes there open.
    for (const auto& change : changes) {
        on_change(change);
    }
    for (const auto& [address, one] : members_) {
        if (one->home.follow(cluster_.map(), asked == one->address())) {
            one->probe.probe();
        }
    }
    begun_ = begun_ || cluster_.map().uncovered() == 0;
    report();
}

void ClusterSite::on_change(const redis::ClusterMap::Change& change) {
    if (!change.from && !begun_) {
        return;  // it is just being made
    }
    if (change.from && is_well(*change.from)) {
        return;  // what it remembers has come along
    }
    ++moves_;
    listener_.on_news("the slots of " + (change.from ? change.from->text() : "nobody") +
                          " are served by " + change.to.text() + " now",
                      true);
    for (const auto& [address, one] : members_) {
        if (one->address() == change.to) {
            one->to_renew = true;
            if (base_.settings.store.safety != "async") {
                one->home.store().canary().inherit_doubt();
            }
            one->probe.probe();
        }
    }
}

bool ClusterSite::is_well(const redis::Address& primary) const {
    return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
        const auto& [address, one] = member;
        return one->address() == primary && one->home.usable() &&
               one->condition.level == Level::ready;
    });
}

void ClusterSite::on_gone(redis::Cluster::Node& node) {
    const auto found = members_.find(node.address().text());
    if (found == members_.end()) {
        return;
    }
    gone_.push_back(std::move(found->second));
    Member* one = gone_.back().get();
    members_.erase(found);
    one->probe.stop();  // what it would send now would be answered after it has gone
    one->preflight.stop();
    locks_.remove(one->home);
    clock_set_of_gone_.forward += one->home.store().clock_set().forward;
    clock_set_of_gone_.backward += one->home.store().clock_set().backward;
    boost::asio::post(base_.context, [this, one] {
        std::erase_if(gone_, [one](const auto& gone) { return gone.get() == one; });
    });
}

void ClusterSite::found(Member& one, Condition condition) {
    if (one.home.avoid(cluster_.map(), condition.why)) {
        one.probe.probe();
        return;
    }
    if (one.home.is_elsewhere(condition.why)) {
        cluster_.refresh();  // the map is behind; this says nothing of the node
        return;
    }
    one.heard = true;
    const bool answers = condition.level == Level::ready || condition.level == Level::closed;
    one.condition = one.permissions.judge(std::move(condition));
    if (answers && std::exchange(one.to_renew, false)) {
        listener_.on_loss();
    }
    report();
}

void ClusterSite::checked(Member& one, const std::vector<Check>& checks) {
    one.checks = checks;
    report();
}

void ClusterSite::watch() {
    watching_.set(base_.clock.now() + kInterval, [this] {
        for (const auto& [address, one] : members_) {
            if (!one->heard) {
                one->probe.probe();  // no connection has come up, which would have
            }
        }
        report();
        watch();
    });
}

void ClusterSite::report() {
    listener_.report(summary());
    std::vector<Check> checks;
    for (const auto& [address, one] : members_) {
        if (!one->checks.empty()) {
            merge(checks, one->checks);
        }
    }
    if (!base_.checks || checks.empty()) {
        return;
    }
    checks.push_back(cluster_check());
    if (checks != reported_) {
        reported_ = checks;
        listener_.report_checks(checks);
    }
}

// The best of all that serve slots; if none serves anything, what is the matter with each.
Condition ClusterSite::summary() const {
    std::string down;
    std::optional<Condition> best;
    for (const auto& [address, one] : members_) {
        if (cluster_.map().slots_of(one->address()).empty()) {
            continue;
        }
        Condition condition = one->condition;
        if (condition.level != Level::ready) {
            condition.why = address + ": " + condition.why;
        }
        if (condition.level == Level::misconfigured || !one->heard) {
            return condition;
        }
        if (condition.level == Level::down) {
            add(down, condition.why);
        } else if (!best || condition.level < best->level) {
            best = std::move(condition);
        }
    }
    if (best) {
        return *std::move(best);
    }
    return {Level::down, down.empty() ? cluster_.why_unknown() : down};
}

Check ClusterSite::cluster_check() const {
    std::string text;
    for (const auto& [address, one] : members_) {
        if (one->condition.level != Level::ready &&
            !cluster_.map().slots_of(one->address()).empty()) {
            add(text, address + ": " + one->condition.why);
        }
    }
    if (const std::size_t uncovered = cluster_.map().uncovered(); uncovered > 0) {
        add(text, "no primary serves " + std::to_string(uncovered) + " slots: their locks fail");
    }
    return text.empty() ? Check{"cluster"} : Check{"cluster", Severity::warning, text};
}

}  // namespace holdfast::daemon
