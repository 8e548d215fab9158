#include "rpc/hold.hpp"

#include "rpc/status.hpp"

#include <utility>

namespace holdfast::rpc {
namespace {

core::Error end_of(const v1::LeaseEvent& event) {
    return event.has_moving() ? core::Error{core::Reason::draining,
                                            "this daemon is shutting down; resume the lease at "
                                            "another by resume_lease_id"}
                              : core::Error{core::Reason::lease_lost, event.lost().why()};
}

}  // namespace

Hold::Hold(std::shared_ptr<HoldCall> call,
           HoldRequest request,
           const core::Clock& clock,
           core::Shards& shards,
           const Streams& streams)
    : StreamedLease(clock, call->received_at(), request.on_disconnect),
      call_(std::move(call)),
      request_(std::move(request)),
      name_(request_.acquire.name),
      call_deadline_(call_->deadline()),
      shards_(shards),
      entry_(streams.opened(call_->peer(), call_->received_at())) {
    count(0, 1);
}

void Hold::start() {
    const auto self = shared_from_this();
    call_->on_over = [self](std::size_t begun) {
        self->shards_.post(
            self->name_, [self, begun](core::LockManager& manager) { self->gone(manager, begun); });
    };
    shards_.post(name_, [self](core::LockManager& manager) { self->begin(manager); });
}

void Hold::begin(core::LockManager& manager) {
    const auto self = shared_from_this();
    auto done = [self, &manager](core::Result<core::Grant> grant) {
        self->decided(manager, std::move(grant));
    };
    core::AcquireRequest& acquire = request_.acquire;
    if (request_.resume) {
        manager.resume({.lease = *request_.resume,
                        .ttl = acquire.ttl,
                        .max_hold = acquire.max_hold,
                        .listener = self,
                        .call_deadline = call_deadline_},
                       std::move(done));
        return;
    }
    acquire.received_at = call_->received_at();
    acquire.call_deadline = call_deadline_;
    acquire.listener = self;
    acquire.on_queued = [self](std::size_t position, const core::HolderSummary& holder) {
        self->queued(position, holder);
    };
    ticket_ = manager.acquire(std::move(acquire), std::move(done));
}

// For ListSessions.
void Hold::count(std::size_t leases, std::size_t waiting) {
    if (entry_) {
        entry_->leases = leases;
        entry_->waiting = waiting;
    }
}

void Hold::decided(core::LockManager& manager, core::Result<core::Grant> grant) {
    count(grant ? 1 : 0, 0);
    if (!grant) {
        over_ = true;
        call_->end(to_status(grant.error()));
        return;
    }
    if (!granted(*grant, request_.resume.has_value())) {
        over_ = true;
        give_up(manager);
        call_->end(to_status({core::Reason::outcome_unknown,
                              "the grant came too late to be of use and is being undone; ask "
                              "again"}));
    } else if (gone_after_) {
        stream_broke(manager, *gone_after_);
    }
}

std::size_t Hold::emit(v1::LeaseEvent event, End end) {
    if (over_) {
        return HoldCall::kNotSent;
    }
    over_ = end != End::none;
    if (over_) {
        count(0, 0);
    }
    const grpc::Status status =
        end == End::lost || end == End::moving ? to_status(end_of(event)) : grpc::Status::OK;
    const std::size_t number = call_->send(std::move(event));
    if (over_) {
        call_->end(status);
    }
    return number;
}

void Hold::gone(core::LockManager& manager, std::size_t begun) {
    gone_after_ = begun;
    entry_.reset();
    if (over_) {
        return;
    }
    if (grant()) {
        stream_broke(manager, begun);
    } else {
        manager.cancel_acquire(ticket_);
    }
}

}  // namespace holdfast::rpc
