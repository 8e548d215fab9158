#include "daemon/single_site.hpp"

#include <utility>

namespace holdfast::daemon {
namespace {

// The same place, as this topology sees it.
redis::Settings seen_by(redis::Settings where, std::shared_ptr<redis::Topology> topology) {
    where.topology = std::move(topology);
    return where;
}

}  // namespace

SingleSite::SingleSite(const Base& base, Listener listener)
    : listener_(std::move(listener)),
      checks_(base.checks),
      sentinels_(make_sentinels(base)),
      where_(seen_by(base.where, sentinels_)),
      pool_(base.context, where_, [this](const auto* server) { on_link(server); }),
      store_(pool_, base.clock, options(base)),
      durability_(base.context,
                  where_,
                  base.clock,
                  base.timers,
                  store_,
                  base.settings.store,
                  [this] { relocate(); }),
      permissions_(pool_,
                   store_.canary(),
                   base.settings.store.prefix,
                   base.settings.store.command_timeout,
                   coexistence(base.settings).key_prefixes()),
      probe_(pool_,
             store_.canary(),
             base.clock,
             base.timers,
             base.settings.store.command_timeout,
             [this](Condition found) {
                 listener_.report(durability_.with_replicas(permissions_.judge(std::move(found))));
             }),
      preflight_(pool_,
                 base.clock,
                 base.timers,
                 base.logger,
                 check_options(base),
                 base.settings.store.command_timeout,
                 [this](const auto& found) { listener_.report_checks(found); }) {
    store_.on_clock_set(listener_.on_clock_set);
}

std::shared_ptr<redis::Sentinels> SingleSite::make_sentinels(const Base& base) {
    if (base.where.sentinels.addresses.empty()) {
        return nullptr;
    }
    return std::make_shared<redis::Sentinels>(
        base.context, base.where, [this](const auto& from, const auto& to) {
            on_primary(from, to);
        });
}

void SingleSite::on_primary(const std::optional<redis::Address>& from, const redis::Address& to) {
    relocate();
    listener_.on_inbox_moved();
    if (from) {
        listener_.on_news("the Redis primary has moved from " + from->text() + " to " + to.text(),
                          true);
    } else {
        listener_.on_news("the Redis primary is " + to.text() + ", as the Sentinels say", false);
    }
}

void SingleSite::relocate() {
    pool_.relocate();
    durability_.relocate();
}

// In strict mode, the canary asks for a majority.
store::RedisLockStore::Options SingleSite::options(const Base& base) {
    store::RedisLockStore::Options options = store_options(base, listener_);
    if (base.settings.store.safety == "strict") {
        options.canary.await_majority = [this](std::string incarnation, auto done) {
            durability_.await_majority(std::move(incarnation), std::move(done));
        };
    }
    return options;
}

void SingleSite::start() {
    if (sentinels_) {
        sentinels_->start();
    }
    pool_.start();
    probe_.start();
}

void SingleSite::stop() {
    pool_.stop();
    durability_.stop();
    if (sentinels_) {
        sentinels_->stop();
    }
}

void SingleSite::authenticate_anew(const std::function<void(std::string_view error)>& refused) {
    permissions_.look_again();
    pool_.authenticate_anew(refused);
    durability_.authenticate_anew(refused);
}

void SingleSite::on_link(const redis::ServerInfo* server) {
    if (server != nullptr) {
        permissions_.look_again();
        store_.connected_to(*server);
        listener_.on_up();
        if (checks_) {
            preflight_.look();
        }
    }
    probe_.probe();
}

}  // namespace holdfast::daemon
