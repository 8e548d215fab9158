#include "store/cluster_lock_store.hpp"

#include "store/routed_call.hpp"

#include <map>
#include <utility>

namespace holdfast::store {
namespace {

using core::Milliseconds;

constexpr Milliseconds kMoment{10};

// Something wanted, with what it only refers to.
struct OwnWant {
    explicit OwnWant(const core::Want& given)
        : want(given), owner(given.owner), metadata(given.metadata) {}

    core::Want get() const {
        core::Want one = want;
        one.owner = owner;
        one.metadata = metadata;
        return one;
    }

    core::Want want;
    std::string owner;
    std::string metadata;
};

// Answers of several primaries to one call for renewals.
struct Renewals {
    std::vector<core::RenewAnswer> answers;
    std::vector<bool> answered;
    std::size_t missing = 0;  // calls
    std::optional<core::StoreError> error;
    core::StoreDone<std::vector<core::RenewAnswer>> done;

    void learn(const std::vector<std::size_t>& which,
               core::StoreResult<std::vector<core::RenewAnswer>> some) {
        for (std::size_t i = 0; i < which.size(); ++i) {
            if (some) {
                answers[which[i]] = (*some)[i];
            } else {
                answers[which[i]].recovering = true;
            }
            answered[which[i]] = some.has_value();
        }
        if (!some && (!error || some.error().failure == core::StoreFailure::unknown)) {
            error = some.error();
        }
        if (--missing > 0) {
            return;
        }
        if (std::find(answered.begin(), answered.end(), true) == answered.end()) {
            done(tl::unexpected(*error));
        } else {
            done(std::move(answers));
        }
    }
};

}  // namespace

ClusterLockStore::ClusterLockStore(redis::Cluster& cluster,
                                   const core::Clock& clock,
                                   core::TimerQueue& timers,
                                   std::string prefix)
    : cluster_(cluster), clock_(clock), prefix_(std::move(prefix)), waking_(timers) {}

ClusterHome* ClusterLockStore::home_of(redis::Cluster::Node& node) {
    const auto found = homes_.find(&node);
    return found == homes_.end() ? nullptr : found->second;
}

void ClusterLockStore::park(absl::AnyInvocable<void()> again) {
    parked_.push_back(std::move(again));
    if (!waking_.is_set()) {
        waking_.set(clock_.now() + kMoment, [this] { wake(); });
    }
}

void ClusterLockStore::wake() {
    for (auto& again : std::exchange(parked_, {})) {
        again();
    }
}

template <class Answer, class Send>
void ClusterLockStore::route(const core::LockName& name,
                             Milliseconds timeout,
                             Send send,
                             core::StoreDone<Answer> done) {
    std::make_shared<RoutedCall<Answer>>(
        *this, slot_of(name), timeout, std::move(send), std::move(done))
        ->start();
}

void ClusterLockStore::acquire(const core::AcquireCommand& command,
                               core::StoreDone<core::AcquireAnswer> done) {
    route<core::AcquireAnswer>(
        command.name,
        command.timeout,
        [name = command.name, want = OwnWant{command.want}](
            RedisLockStore& store, Milliseconds timeout, auto answered) {
            store.acquire({name, want.get(), timeout}, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::release(const core::Lease& lease,
                               const std::optional<core::Want>& next,
                               Milliseconds timeout,
                               core::StoreDone<core::ReleaseAnswer> done) {
    route<core::ReleaseAnswer>(
        lease.name,
        timeout,
        [lease, next = next ? std::optional<OwnWant>{*next} : std::nullopt](
            RedisLockStore& store, Milliseconds left, auto answered) {
            store.release(
                lease, next ? std::optional{next->get()} : std::nullopt, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::downgrade(const core::Lease& lease,
                                 core::Ttl ttl,
                                 Milliseconds timeout,
                                 core::StoreDone<core::RenewAnswer> done) {
    route<core::RenewAnswer>(
        lease.name,
        timeout,
        [lease, ttl](RedisLockStore& store, Milliseconds left, auto answered) {
            store.downgrade(lease, ttl, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::adopt(const core::Lease& lease,
                             core::Ttl ttl,
                             std::string_view from,
                             Milliseconds timeout,
                             core::StoreDone<core::RenewAnswer> done) {
    route<core::RenewAnswer>(
        lease.name,
        timeout,
        [lease, ttl, from = std::string{from}](
            RedisLockStore& store, Milliseconds left, auto answered) {
            store.adopt(lease, ttl, from, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::leave(const core::LockName& name,
                             Milliseconds timeout,
                             core::StoreDone<std::monostate> done) {
    route<std::monostate>(
        name,
        timeout,
        [name](RedisLockStore& store, Milliseconds left, auto answered) {
            store.leave(name, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::cancel(const core::LockName& name,
                              core::HolderId holder,
                              core::HolderId call,
                              Milliseconds timeout,
                              core::StoreDone<std::monostate> done) {
    route<std::monostate>(
        name,
        timeout,
        [name, holder, call](RedisLockStore& store, Milliseconds left, auto answered) {
            store.cancel(name, holder, call, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::renew(std::span<const core::RenewCommand> commands,
                             Milliseconds timeout,
                             core::StoreDone<std::vector<core::RenewAnswer>> done) {
    std::map<redis::Slot, std::vector<std::size_t>> by_slot;
    for (std::size_t i = 0; i < commands.size(); ++i) {
        by_slot[slot_of(commands[i].lease.name)].push_back(i);
    }
    const auto renewals = std::make_shared<Renewals>();
    renewals->answers.resize(commands.size());
    renewals->answered.resize(commands.size());
    renewals->missing = by_slot.size();
    renewals->done = std::move(done);
    for (const auto& [slot, which] : by_slot) {
        std::vector<core::RenewCommand> some;
        for (const std::size_t i : which) {
            some.push_back(commands[i]);
        }
        const core::LockName& name = some.front().lease.name;
        route<std::vector<core::RenewAnswer>>(
            name,
            timeout,
            [some](RedisLockStore& store, Milliseconds left, auto answered) {
                store.renew(some, left, std::move(answered));
            },
            [renewals, which = which](auto answers) {
                renewals->learn(which, std::move(answers));
            });
    }
}

void ClusterLockStore::revoke(const core::RevokeCommand& command,
                              Milliseconds timeout,
                              core::StoreDone<std::vector<core::HolderState>> done) {
    route<std::vector<core::HolderState>>(
        command.name,
        timeout,
        [name = command.name,
         token = command.token,
         how = command.how,
         closes_in = command.closes_in,
         reason = std::string{command.reason}](
            RedisLockStore& store, Milliseconds left, auto answered) {
            store.revoke({name, token, how, closes_in, reason}, left, std::move(answered));
        },
        std::move(done));
}

void ClusterLockStore::inspect(const core::LockName& name,
                               Milliseconds timeout,
                               core::StoreDone<std::optional<core::LockState>> done) {
    route<std::optional<core::LockState>>(
        name,
        timeout,
        [name](RedisLockStore& store, Milliseconds left, auto answered) {
            store.inspect(name, left, std::move(answered));
        },
        std::move(done));
}

}  // namespace holdfast::store
