#include "store/durable_store.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::store {
namespace {

using core::Granted;

// What becomes of a renewal for which so many replicas are needed.
void judge(core::RenewAnswer& answer, std::uint8_t needed, std::size_t acks) {
    if (!answer.renewed) {
        return;
    }
    answer.renewed = acks >= needed;
    answer.not_durable = !answer.renewed;
    answer.replicas = needed;
}

}  // namespace

DurableStore::DurableStore(core::LockStore& store,
                           Replication& replication,
                           std::size_t least,
                           std::function<std::string()> incarnation)
    : store_(store),
      replication_(replication),
      least_(static_cast<std::uint8_t>(least)),
      incarnation_(std::move(incarnation)) {}

void DurableStore::acquire(const core::AcquireCommand& command,
                           core::StoreDone<core::AcquireAnswer> done) {
    const std::uint8_t needed = level(command.want.replicas);
    if (needed == 0) {
        store_.acquire(command, std::move(done));
        return;
    }
    store_.acquire(command,
                   [this, needed, incarnation = incarnation_(), done = std::move(done)](
                       core::StoreResult<core::AcquireAnswer> answer) mutable {
                       if (!answer || !std::holds_alternative<Granted>(*answer)) {
                           done(std::move(answer));
                           return;
                       }
                       Granted granted = std::get<Granted>(*answer);
                       granted.replicas = needed;
                       replication_.await(
                           needed,
                           std::move(incarnation),
                           [this, granted, done = std::move(done)](const auto& acks) mutable {
                               if (acks.count >= granted.replicas) {
                                   done(granted);
                               } else {
                                   done(tl::unexpected(too_few(granted.replicas, acks)));
                               }
                           });
                   });
}

void DurableStore::release(const core::Lease& lease,
                           const std::optional<core::Want>& next,
                           core::Milliseconds timeout,
                           core::StoreDone<core::ReleaseAnswer> done) {
    const std::uint8_t needed = next ? level(next->replicas) : std::uint8_t{0};
    if (needed == 0) {
        store_.release(lease, next, timeout, std::move(done));
        return;
    }
    store_.release(lease,
                   next,
                   timeout,
                   [this, needed, incarnation = incarnation_(), done = std::move(done)](
                       core::StoreResult<core::ReleaseAnswer> answer) mutable {
                       if (!answer || !answer->handed || !*answer->handed ||
                           !std::holds_alternative<Granted>(**answer->handed)) {
                           done(std::move(answer));
                           return;
                       }
                       replication_.await(
                           needed,
                           std::move(incarnation),
                           [this, needed, answer = *std::move(answer), done = std::move(done)](
                               const auto& acks) mutable {
                               if (acks.count >= needed) {
                                   std::get<Granted>(**answer.handed).replicas = needed;
                               } else {
                                   answer.handed = tl::unexpected(too_few(needed, acks));
                               }
                               done(std::move(answer));
                           });
                   });
}

void DurableStore::downgrade(const core::Lease& lease,
                             core::Ttl ttl,
                             core::Milliseconds timeout,
                             core::StoreDone<core::RenewAnswer> done) {
    store_.downgrade(lease, ttl, timeout, confirmed_one(lease, std::move(done)));
}

void DurableStore::adopt(const core::Lease& lease,
                         core::Ttl ttl,
                         std::string_view from,
                         core::Milliseconds timeout,
                         core::StoreDone<core::RenewAnswer> done) {
    store_.adopt(lease, ttl, from, timeout, confirmed_one(lease, std::move(done)));
}

core::StoreDone<core::RenewAnswer> DurableStore::confirmed_one(
    const core::Lease& lease, core::StoreDone<core::RenewAnswer> done) {
    const std::uint8_t needed = level(lease.replicas);
    if (needed == 0) {
        return done;
    }
    return [this, needed, incarnation = incarnation_(), done = std::move(done)](
               core::StoreResult<core::RenewAnswer> answer) mutable {
        if (!answer || !answer->renewed) {
            done(std::move(answer));
            return;
        }
        replication_.await(needed,
                           std::move(incarnation),
                           [needed, answer = *std::move(answer), done = std::move(done)](
                               const auto& acks) mutable {
                               judge(answer, needed, acks.count);
                               done(answer);
                           });
    };
}

void DurableStore::renew(std::span<const core::RenewCommand> commands,
                         core::Milliseconds timeout,
                         core::StoreDone<std::vector<core::RenewAnswer>> done) {
    std::vector<std::uint8_t> needed;
    needed.reserve(commands.size());
    for (const core::RenewCommand& command : commands) {
        needed.push_back(level(command.lease.replicas));
    }
    const std::uint8_t most = *std::max_element(needed.begin(), needed.end());
    if (most == 0) {
        store_.renew(commands, timeout, std::move(done));
        return;
    }
    store_.renew(commands,
                 timeout,
                 [this,
                  most,
                  needed = std::move(needed),
                  incarnation = incarnation_(),
                  done = std::move(done)](
                     core::StoreResult<std::vector<core::RenewAnswer>> answers) mutable {
                     if (!answers) {
                         done(std::move(answers));
                         return;
                     }
                     replication_.await(most,
                                        std::move(incarnation),
                                        [needed = std::move(needed),
                                         answers = *std::move(answers),
                                         done = std::move(done)](const auto& acks) mutable {
                                            for (std::size_t i = 0; i < answers.size(); ++i) {
                                                judge(answers[i], needed[i], acks.count);
                                            }
                                            done(std::move(answers));
                                        });
                 });
}

core::StoreError DurableStore::too_few(std::size_t needed, const Replication::Acks& acks) const {
    std::string message = std::to_string(acks.count) + " of " + std::to_string(needed) +
                          " replicas have acknowledged it within " +
                          std::to_string(replication_.timeout().count()) + " ms";
    if (!acks.why.empty()) {
        message = "it is not known that " + std::to_string(needed) +
                  " replicas have acknowledged it: " + acks.why;
    }
    return {core::StoreFailure::not_durable, std::move(message)};
}

}  // namespace holdfast::store
