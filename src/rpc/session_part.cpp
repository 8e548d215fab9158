#include "rpc/session_part.hpp"

#include "rpc/session_held.hpp"
#include "rpc/status.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast::rpc {
namespace {

// What leaves in one message, about: gRPC clients take up to 4 MiB by default.
constexpr int kMaxBatch = 1000;

}  // namespace

std::shared_ptr<SessionPart::Held> SessionPart::held_by(const core::AcquireRequest& request) const {
    const auto known = reentrant_.find(request.name.text());
    const auto found = known == reentrant_.end() ? held_.end() : held_.find(known->second);
    if (found == held_.end()) {
        return nullptr;
    }
    const Held& held = *found->second;
    const bool fits = held.grant()->lease.access == request.access && held.owner == request.owner;
    return fits && !held.releasing ? found->second : nullptr;
}

// Counted at once, for a release that comes right behind. Renewed, if that makes it last longer, which
// also finds out whether it stands.
void SessionPart::enter_again(core::LockManager& manager,
                              std::uint64_t id,
                              const std::shared_ptr<Held>& held,
                              core::Ttl ttl) {
    const core::Grant& grant = *held->grant();
    ++held->entered;
    manager.renew(
        grant.lease,
        std::max(ttl, grant.ttl),
        {anchor_, core::kNever},
        [self = shared_from_this(), &manager, id, held](core::Result<core::Grant> renewed) {
            v1::OperationResult result;
            result.set_id(id);
            if (renewed && !held->over && renewed->lease.access.mode == core::Mode::exclusive &&
                fill(*result.mutable_acquire()->mutable_lease(),
                     *renewed,
                     self->anchor_,
                     self->clock_.now())) {
                self->finish(std::move(result));
                return;
            }
            self->finish(id,
                         renewed ? core::Error{core::Reason::lease_lost,
                                               "the lease of this session ended meanwhile, or is "
                                               "shared now"}
                                 : renewed.error());
            if (--held->entered == 0 && !held->over) {  // its releases have come already
                held->releasing = true;
                manager.release(held->grant()->lease, core::kNever, [](const auto&) {});
            }
        });
}

void SessionPart::acquire(core::LockManager& manager, std::uint64_t id, HoldRequest request) {
    if (request.reentrant) {
        if (const auto held = held_by(request.acquire)) {
            enter_again(manager, id, held, request.acquire.ttl);
            return;
        }
    }
    if (const auto room = link_->reserve_lease(); !room) {
        finish(id, room.error());
        return;
    }
    const auto held = std::make_shared<Held>(shared_from_this(), request.on_disconnect, id);
    core::AcquireRequest& acquire = request.acquire;
    held->owner = acquire.owner;
    auto done =
        [self = shared_from_this(), &manager, id, held, resumed = request.resume.has_value()](
            core::Result<core::Grant> grant) {
            self->decided(manager, id, held, resumed, std::move(grant));
        };
    if (request.resume) {
        manager.resume({.lease = *std::move(request.resume),
                        .ttl = acquire.ttl,
                        .max_hold = acquire.max_hold,
                        .listener = held},
                       std::move(done));
        return;
    }
    acquire.received_at = clock_.now();
    acquire.listener = held;
    // It may be decided before acquire() returns.
    acquiring_[id] = 0;
    link_->count_waiting(1);
    const auto ticket = manager.acquire(std::move(acquire), std::move(done));
    if (const auto found = acquiring_.find(id); found != acquiring_.end()) {
        found->second = ticket;
    }
}

void SessionPart::decided(core::LockManager& manager,
                          std::uint64_t id,
                          const std::shared_ptr<Held>& held,
                          bool resumed,
                          core::Result<core::Grant> grant) {
    if (acquiring_.erase(id) > 0) {
        link_->count_waiting(-1);
    }
    if (!grant) {
        link_->lease_over();
        finish(id, grant.error());
        return;
    }
    held_[grant->lease.holder] = held;
    if (grant->lease.access.mode == core::Mode::exclusive && !resumed) {
        reentrant_[grant->lease.name.text()] = grant->lease.holder;
    }
    granted_in_out_.push_back(held);
    if (!held->granted(*grant, resumed)) {
        held->over = true;
        forget(*held);
        held->give_up(manager);
        finish(id,
               {core::Reason::outcome_unknown,
                "the grant came too late to be of use and is being undone; ask again"});
    } else if (broke_after_) {
        held->stream_broke(manager, *broke_after_);
        forget(*held);
    }
}

void SessionPart::release(core::LockManager& manager, std::uint64_t id, core::Lease lease) {
    std::shared_ptr<Held> held;
    if (const auto found = held_.find(lease.holder); found != held_.end()) {
        held = found->second;
        if (held->entered > 1 && clock_.now() < held->grant()->deadline()) {
            --held->entered;
            v1::OperationResult result;
            result.set_id(id);
            result.mutable_release()->set_verdict(v1::VERDICT_HELD_THROUGHOUT);
            finish(std::move(result));
            return;
        }
        held->releasing = true;
    }
    manager.release(std::move(lease), core::kNever, released(id, std::move(held)));
}

void SessionPart::release(core::LockManager&, std::uint64_t id, core::LeaseSet set) {
    core::release_set(shards_.poster(), std::move(set), core::kNever, released(id, nullptr));
}

// Tells the verdict of a release, of `held` if that is a lease of this session.
core::Done<core::Released> SessionPart::released(std::uint64_t id, std::shared_ptr<Held> held) {
    return [self = shared_from_this(), id, held = std::move(held)](
               core::Result<core::Released> released) {
        if (!released) {
            if (held) {
                held->releasing = false;  // whatever becomes of it is told
            }
            self->finish(id, released.error());
            return;
        }
        v1::OperationResult result;
        result.set_id(id);
        fill(*result.mutable_release(), *released);
        self->finish(std::move(result));
    };
}

void SessionPart::renew(core::LockManager& manager,
                        std::uint64_t id,
                        core::Lease lease,
                        core::Ttl ttl) {
    manager.renew(std::move(lease), ttl, {anchor_, core::kNever}, renewed<core::Grant>(id));
}

void SessionPart::renew(core::LockManager&, std::uint64_t id, core::LeaseSet set, core::Ttl ttl) {
    core::renew_set(shards_.poster(),
                    std::move(set),
                    ttl,
                    {anchor_, core::kNever},
                    renewed<core::SetGrant>(id));
}

template <class Grant>
core::Done<Grant> SessionPart::renewed(std::uint64_t id) {
    return [self = shared_from_this(), id](core::Result<Grant> renewed) {
        v1::OperationResult result;
        result.set_id(id);
        if (!renewed) {
            self->finish(id, renewed.error());
        } else if (fill(*result.mutable_renew()->mutable_lease(),
                        *renewed,
                        self->anchor_,
                        self->clock_.now())) {
            self->finish(std::move(result));
        } else {
            self->finish(
                id,
                {core::Reason::outcome_unknown, "the renewal was confirmed too late to be of use"});
        }
    };
}

void SessionPart::convert(core::LockManager& manager,
                          std::uint64_t id,
                          core::LockManager::ConvertRequest request) {
    request.times = {clock_.now(), core::kNever};
    converting_[id] = 0;  // it may be decided before convert() returns
    const auto ticket = manager.convert(
        std::move(request), [self = shared_from_this(), id](core::Result<core::Grant> converted) {
            self->converting_.erase(id);
            v1::OperationResult result;
            result.set_id(id);
            if (!converted) {
                self->finish(id, converted.error());
            } else if (fill(*result.mutable_convert()->mutable_lease(),
                            *converted,
                            self->anchor_,
                            self->clock_.now())) {
                self->finish(std::move(result));
            } else {
                self->finish(id,
                             {core::Reason::outcome_unknown,
                              "the conversion was confirmed too late to be of use"});
            }
        });
    if (const auto found = converting_.find(id); found != converting_.end()) {
        found->second = ticket;
        if (ticket == 0) {  // under way, and not to be cancelled
            converting_.erase(found);
        }
    }
}

void SessionPart::cancel(core::LockManager& manager, std::uint64_t id, std::uint64_t which) {
    v1::OperationResult result;
    result.set_id(id);
    result.set_cancelled(cancel_waiting(manager, which));
    finish(std::move(result));
}

bool SessionPart::cancel_waiting(core::LockManager& manager, std::uint64_t which) {
    const core::Error cancelled{core::Reason::cancelled,
                                "cancelled by an operation of the session"};
    if (const auto found = acquiring_.find(which); found != acquiring_.end()) {
        manager.cancel_acquire(found->second);
        acquiring_.erase(found);
        link_->count_waiting(-1);
        link_->lease_over();
        finish(which, cancelled);
        return true;
    }
    if (const auto found = converting_.find(which); found != converting_.end()) {
        manager.cancel_acquire(found->second);
        converting_.erase(found);
        finish(which, cancelled);
        return true;
    }
    return false;
}

void SessionPart::ping(core::Instant anchor, v1::Pong& pong) {
    flush();
    anchor_ = anchor;
    for (const auto& [key, held] : held_) {
        held->show(pong);
    }
}

void SessionPart::stream_broke(core::LockManager& manager, std::size_t begun) {
    flush();  // to nobody; what it tells of was not sent
    broke_after_ = begun;
    for (auto* waiting : {&acquiring_, &converting_}) {
        for (const auto& [id, ticket] : std::exchange(*waiting, {})) {
            manager.cancel_acquire(ticket);
        }
    }
    for (const auto& [key, held] : std::exchange(held_, {})) {
        held->over = true;
        held->stream_broke(manager, begun);
    }
}

void SessionPart::finish(v1::OperationResult result) {
    link_->end(result.id());
    *out_.add_results() = std::move(result);
    flush_soon();
}

void SessionPart::finish(std::uint64_t id, const core::Error& error) {
    finish(failed(id, error));
}

void SessionPart::tell(v1::LeaseEvent event) {
    *out_.add_events() = std::move(event);
    flush_soon();
}

void SessionPart::flush_soon() {
    if (out_.results_size() + out_.events_size() >= kMaxBatch) {
        flush();
    } else if (!std::exchange(flush_comes_, true)) {
        shards_.post_to(shard_, [self = shared_from_this()](core::LockManager&) {
            self->flush_comes_ = false;
            self->flush();
        });
    }
}

void SessionPart::flush() {
    if (out_.results_size() + out_.events_size() == 0) {
        return;
    }
    const std::size_t number = link_->send(std::exchange(out_, {}));
    for (const auto& held : std::exchange(granted_in_out_, {})) {
        held->told_in(number);
    }
}

void SessionPart::forget(const Held& held) {
    const auto found = held_.find(held.grant()->lease.holder);
    if (found != held_.end() && found->second.get() == &held) {
        held_.erase(found);
    }
    const auto entry = reentrant_.find(held.grant()->lease.name.text());
    if (entry != reentrant_.end() && entry->second == held.grant()->lease.holder) {
        reentrant_.erase(entry);
    }
    link_->lease_over();
}

}  // namespace holdfast::rpc
