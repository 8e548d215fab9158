#include "daemon/store_site.hpp"

#include "daemon/cluster_site.hpp"
#include "daemon/quorum_site.hpp"
#include "daemon/single_site.hpp"

namespace holdfast::daemon {

store::RedisLockStore::Options StoreSite::store_options(const Base& base,
                                                        const Listener& listener) {
    const auto& limits = base.settings.limits;
    return {base.settings.store.prefix,
            base.settings.store.retention,
            {limits.max_ttl,
             base.settings.store.assume_new,
             base.settings.store.safety == "async",
             nullptr,
             listener.on_loss},
            core::store_hold(limits.min_ttl) - limits.min_ttl.value,
            base.station,
            coexistence(base.settings)};
}

store::Coexistence StoreSite::coexistence(const Settings& settings) {
    return store::Coexistence::parse(settings.store.coexist, settings.store.prefix).value();
}

CheckOptions StoreSite::check_options(const Base& base) {
    const Settings::Store& store = base.settings.store;
    return {store.allow_eviction,
            store.preflight == "refuse",
            store.replicas,
            !store.url.empty(),  // of the embedded one, it has been said
            base.where.user.empty(),
            store.safety == "strict"};
}

std::unique_ptr<StoreSite> make_store_site(const StoreSite::Base& base,
                                           StoreSite::Listener listener) {
    if (!base.where.cluster.empty()) {
        return std::make_unique<ClusterSite>(base, std::move(listener));
    }
    if (!base.where.quorum.empty()) {
        return std::make_unique<QuorumSite>(base, std::move(listener));
    }
    return std::make_unique<SingleSite>(base, std::move(listener));
}

}  // namespace holdfast::daemon
