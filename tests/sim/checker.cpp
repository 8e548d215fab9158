#include "checker.hpp"

#include <algorithm>
#include <chrono>

namespace holdfast::sim {
namespace {

using core::Mode;

// Daemons measure Redis' clock by its replies, and their own runs at another rate: so exact is the
// order among them (P7).
constexpr core::Duration kOrderSlack = std::chrono::milliseconds{100};

std::string token_text(const core::Lease& lease) {
    return "token " + std::to_string(lease.token.value) + " of \"" + lease.name.text() + "\"";
}

}  // namespace

void Checker::fail(const std::string& what) {
    if (failure_.empty()) {
        failure_ = what;
    }
}

void Checker::waits(int client, const core::AcquireRequest& request, Instant arrived) {
    waiters_[client] = {request.name.text(), request.access, arrived};
}

void Checker::waits_no_more(int client) {
    waiters_.erase(client);
}

void Checker::granted(int client, const core::Lease& lease, Instant now, Instant until) {
    ++grants_;
    check_token(client, lease);
    if (until <= now) {
        fail("P2: client " + std::to_string(client) + " is told of " + token_text(lease) +
             " after its deadline");
    }
    check_exclusion(client, lease, now);
    check_order(client, lease, now);
    std::uint64_t& newest = exclusive_[lease.name.text()];
    if (lease.token.value <= newest) {
        fail("P1: " + token_text(lease) + " comes after exclusive token " + std::to_string(newest));
    }
    if (lease.access.mode == Mode::exclusive) {
        newest = lease.token.value;
    }
    beliefs_.insert_or_assign(client, Belief{lease, until});
}

void Checker::converted(int client, const core::Lease& lease, Instant now, Instant until) {
    const auto found = beliefs_.find(client);
    if (found == beliefs_.end()) {
        return;
    }
    check_exclusion(client, lease, now);
    std::uint64_t& newest = exclusive_[lease.name.text()];
    check_token(client, lease);
    if (lease.access.mode == Mode::exclusive) {
        if (lease.token.value < newest) {
            fail("P1: converted " + token_text(lease) + " comes after exclusive token " +
                 std::to_string(newest));
        }
        newest = std::max(newest, lease.token.value);
    }
    found->second = Belief{lease, std::max(found->second.until, until)};
}

// A token is one lease's.
void Checker::check_token(int client, const core::Lease& lease) {
    const auto [known, fresh] = told_.insert({{lease.name.text(), lease.token.value}, client});
    if (!fresh && known->second != client) {
        fail("P1: " + token_text(lease) + " is told to client " + std::to_string(client) +
             " and was to client " + std::to_string(known->second));
    }
}

void Checker::shares(int client) {
    if (const auto found = beliefs_.find(client); found != beliefs_.end()) {
        found->second.lease.access = core::Access{Mode::shared};
    }
}

void Checker::check_exclusion(int client, const core::Lease& lease, Instant now) {
    std::uint32_t permits = lease.access.permits;
    for (const auto& [other, belief] : beliefs_) {
        if (other == client || belief.until <= now || belief.lease.name != lease.name) {
            continue;
        }
        const Mode mode = belief.lease.access.mode;
        permits += belief.lease.access.permits;
        const bool both_share = mode == Mode::shared && lease.access.mode == Mode::shared;
        const bool fits = mode == Mode::permit && lease.access.mode == Mode::permit &&
                          permits <= lease.access.limit;
        if (!both_share && !fits) {
            fail("exclusion: client " + std::to_string(client) + " gets " + token_text(lease) +
                 " while client " + std::to_string(other) + " has " + token_text(belief.lease));
        }
    }
}

void Checker::check_order(int client, const core::Lease& lease, Instant now) {
    const auto own = waiters_.find(client);
    if (now < troubled_until_ || own == waiters_.end()) {
        return;
    }
    for (const auto& [other, waiter] : waiters_) {
        // Of two who may have it at the same time, the first one's answer may come later.
        const bool together =
            waiter.access.mode == lease.access.mode &&
            (lease.access.mode == Mode::shared ||
             (lease.access.mode == Mode::permit &&
              waiter.access.permits + lease.access.permits <= lease.access.limit));
        if (other != client && waiter.name == lease.name.text() && !together &&
            waiter.arrived + kOrderSlack < own->second.arrived) {
            fail("P7: client " + std::to_string(client) + " gets " + token_text(lease) +
                 " before client " + std::to_string(other) + ", who came earlier");
        }
    }
}

void Checker::renewed(int client, Instant until) {
    if (const auto found = beliefs_.find(client); found != beliefs_.end()) {
        found->second.until = std::max(found->second.until, until);
    }
}

void Checker::stops(int client) {
    beliefs_.erase(client);
}

}  // namespace holdfast::sim
