#pragma once

// A store that is a quorum of independent Redis. It is ready while as many nodes as are needed take part;
// what is wrong with the others is a warning, for each by its name. Nodes that belong to others: nothing is
// granted, and a daemon that a majority of them tells so does not start.

#include "daemon/preflight.hpp"
#include "daemon/store_site.hpp"
#include "store/quorum_client.hpp"
#include "store/quorum_lock_store.hpp"

#include <memory>
#include <string>
#include <vector>

namespace holdfast::daemon {

class QuorumSite final : public StoreSite {
public:
    QuorumSite(const Base& base, Listener listener);

    void start() override;
    void stop() override;

    core::LockStore& locks() override { return store_; }
    redis::Client& client() override { return client_; }
    redis::Settings inbox() const override { return where_.front(); }
    std::vector<redis::Settings> inboxes() const override { return where_; }
    std::size_t wanted_words() const override { return size_.required; }
    std::int64_t store_time(core::Instant at) const override { return store_.store_time(at); }
    redis::Pool::Status status() const override;
    store::ClockSet clock_set() const override { return store_.nodes().clock_set(); }
    std::uint64_t moves() const override { return 0; }
    void authenticate_anew(const std::function<void(std::string_view error)>& refused) override;

private:
    std::vector<redis::Client*> make_pools(const Base& base);
    void make_preflights(const Base& base);
    void on_link(std::size_t node, const redis::ServerInfo* server);
    void look();
    void report();
    Condition judge() const;
    Condition foreign(std::size_t nodes) const;
    Condition too_few() const;
    std::string why_not(std::size_t node) const;
    void report_checks();

    Listener listener_;
    const core::Clock& clock_;
    const core::Milliseconds timeout_;
    const bool checks_;
    const store::QuorumSize size_;
    core::SystemHolderIds ids_;
    std::vector<redis::Settings> where_;
    std::vector<std::unique_ptr<redis::Pool>> pools_;
    std::vector<redis::Client*> clients_;
    store::QuorumClient client_;
    store::QuorumLockStore store_;
    std::vector<std::unique_ptr<Preflight>> preflights_;
    std::vector<std::vector<Check>> found_;  // of each node
    std::vector<Check> said_;
    core::Timer timer_;
};

}  // namespace holdfast::daemon
