#include "rpc/streamed_lease.hpp"

#include <string>
#include <utility>

namespace holdfast::rpc {
namespace {

v1::LossCause cause_of(core::LossCause cause) {
    switch (cause) {
        case core::LossCause::deadline:
            return v1::LOSS_CAUSE_DEADLINE;
        case core::LossCause::taken:
            return v1::LOSS_CAUSE_TAKEN;
        case core::LossCause::revoked:
            return v1::LOSS_CAUSE_REVOKED;
        case core::LossCause::max_hold:
            return v1::LOSS_CAUSE_MAX_HOLD;
        case core::LossCause::moved:
            return v1::LOSS_CAUSE_MOVED;
    }
    return v1::LOSS_CAUSE_UNSPECIFIED;
}

}  // namespace

v1::LeaseEvent StreamedLease::event() const {
    v1::LeaseEvent event;
    if (grant_) {
        event.set_lease_id(core::encode_lease_id(grant_->lease));
    }
    return event;
}

bool StreamedLease::fill_lease(v1::Lease& lease, core::Instant deadline) {
    grant_->sent_at = deadline - grant_->ttl.value;
    return fill(lease, *grant_, anchor(), clock_.now());
}

void StreamedLease::queued(std::size_t position, const core::HolderSummary& holder) {
    v1::LeaseEvent told = event();
    told.mutable_queued()->set_position(position);
    fill(*told.mutable_queued()->mutable_holder(), holder);
    emit(std::move(told), End::none);
}

bool StreamedLease::granted(const core::Grant& grant, bool resumed) {
    grant_ = grant;
    known_before_ = resumed;
    v1::LeaseEvent told = event();
    if (!fill_lease(*told.mutable_granted()->mutable_lease(), grant.deadline())) {
        return false;
    }
    granted_in_ = emit(std::move(told), End::none);
    return true;
}

void StreamedLease::stream_broke(core::LockManager& manager, std::size_t begun) {
    if (begun <= granted_in_) {
        give_up(manager);
    } else {
        disconnect(manager);
    }
}

void StreamedLease::give_up(core::LockManager& manager) {
    if (known_before_) {
        // It was never told here: its client may have resumed it elsewhere by now.
        manager.detach(grant_->lease, this, core::Milliseconds{0});
        return;
    }
    manager.detach(grant_->lease, this, core::Milliseconds{0});
    manager.abandon(*grant_);
}

void StreamedLease::disconnect(core::LockManager& manager) {
    if (on_disconnect_.release_now) {
        manager.release(grant_->lease, core::kNever, [](const auto&) {});
    } else {
        manager.detach(grant_->lease, this, on_disconnect_.grace);
    }
}

void StreamedLease::renewed(core::Instant deadline) {
    v1::LeaseEvent told = event();
    if (fill_lease(*told.mutable_renewed()->mutable_lease(), deadline)) {
        emit(std::move(told), End::none);
    }
}

void StreamedLease::anchored(core::Instant anchor, core::Ttl ttl, core::Instant deadline) {
    anchor_ = anchor;
    grant_->ttl = ttl;
    renewed(deadline);
}

void StreamedLease::converted(const core::Lease& lease, core::Instant deadline) {
    grant_->lease = lease;
    renewed(deadline);
}

void StreamedLease::at_risk(core::Instant deadline, std::string_view why) {
    v1::LeaseEvent told = event();
    v1::AtRisk& risk = *told.mutable_at_risk();
    const core::Instant now = clock_.now();
    risk.set_elapsed_ms(ms(core::remaining(anchor(), now)));
    risk.set_safe_for_ms(ms(core::remaining(now, deadline)));
    risk.set_anchor(anchor_number(anchor()));
    risk.set_why(std::string{why});
    emit(std::move(told), End::none);
}

void StreamedLease::recovered(core::Instant deadline) {
    v1::LeaseEvent told = event();
    if (fill_lease(*told.mutable_recovered()->mutable_lease(), deadline)) {
        emit(std::move(told), End::none);
    }
}

void StreamedLease::revoke_requested(core::Instant until, std::string_view reason) {
    v1::LeaseEvent told = event();
    told.mutable_revoke_requested()->set_deadline_in_ms(ms(core::remaining(clock_.now(), until)));
    told.mutable_revoke_requested()->set_reason(std::string{reason});
    emit(std::move(told), End::none);
}

void StreamedLease::lost(core::LossCause cause, std::string_view why) {
    v1::LeaseEvent told = event();
    told.mutable_lost()->set_cause(cause_of(cause));
    told.mutable_lost()->set_why(std::string{why});
    emit(std::move(told), End::lost);
}

void StreamedLease::released(const core::Released& released) {
    v1::LeaseEvent told = event();
    v1::ReleaseResponse verdict;
    fill(verdict, released);
    told.mutable_released()->set_verdict(verdict.verdict());
    told.mutable_released()->set_newer_token(verdict.newer_token());
    emit(std::move(told), End::released);
}

void StreamedLease::moving(core::Instant deadline) {
    v1::LeaseEvent told = event();
    v1::Moving& moving = *told.mutable_moving();
    const core::Instant now = clock_.now();
    moving.set_elapsed_ms(ms(core::remaining(anchor(), now)));
    moving.set_safe_for_ms(ms(core::remaining(now, deadline)));
    moving.set_anchor(anchor_number(anchor()));
    emit(std::move(told), End::moving);
}

}  // namespace holdfast::rpc
