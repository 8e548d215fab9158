#pragma once

// What must be true of the answers that clients get (DESIGN section 1), told in the world's own time.
// Promises are checked as they are made; the first that is broken is kept.

#include "core/lock_manager.hpp"

#include <map>
#include <string>
#include <vector>

namespace holdfast::sim {

class Checker {
public:
    using Instant = core::Instant;

    // A client waits since `arrived` (less its priority), in the world's time.
    void waits(int client, const core::AcquireRequest& request, Instant arrived);
    void waits_no_more(int client);

    // A client is told that it holds `lease`, and believes so until `until`.
    void granted(int client, const core::Lease& lease, Instant now, Instant until);
    // It holds `lease` now, in another mode than before.
    void converted(int client, const core::Lease& lease, Instant now, Instant until);
    // It asks for its lease to be shared, and so believes in no more from here on.
    void shares(int client);
    // It has renewed, or believes no longer: it released, was told of a loss, or has died.
    void renewed(int client, Instant until);
    void stops(int client);

    // Something went wrong lately: order is not checked until then.
    void trouble(Instant until) { troubled_until_ = std::max(troubled_until_, until); }

    // Whether somebody was ever told of this token.
    bool told(const std::string& lock, std::uint64_t token) const {
        return told_.contains({lock, token});
    }

    void fail(const std::string& what);
    const std::string& failure() const { return failure_; }
    std::uint64_t grants() const { return grants_; }

private:
    struct Belief {
        core::Lease lease;
        Instant until;
    };
    struct Waiter {
        std::string name;
        core::Access access;
        Instant arrived;
    };

    void check_token(int client, const core::Lease& lease);
    void check_exclusion(int client, const core::Lease& lease, Instant now);
    void check_order(int client, const core::Lease& lease, Instant now);

    std::map<int, Belief> beliefs_;                   // by client
    std::map<int, Waiter> waiters_;                   // by client
    std::map<std::string, std::uint64_t> exclusive_;  // newest exclusive token told, by lock
    std::map<std::pair<std::string, std::uint64_t>, int> told_;  // to which client
    Instant troubled_until_{};
    std::uint64_t grants_ = 0;
    std::string failure_;
};

}  // namespace holdfast::sim
