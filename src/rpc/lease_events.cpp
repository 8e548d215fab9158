#include "rpc/lease_events.hpp"

#include "rpc/translate.hpp"

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

v1::LeaseEvent LeaseEvents::event() const {
    v1::LeaseEvent event;
    if (grant_) {
        event.set_lease_id(core::encode_lease_id(grant_->lease));
    }
    return event;
}

bool LeaseEvents::fill_lease(v1::Lease& lease, core::Instant deadline) {
    grant_->sent_at = deadline - grant_->ttl.value;
    return fill(lease, *grant_, anchor_, clock_.now());
}

void LeaseEvents::queued(std::size_t position, const core::HolderSummary& holder) {
    v1::LeaseEvent told = event();
    told.mutable_queued()->set_position(position);
    fill(*told.mutable_queued()->mutable_holder(), holder);
    emit(std::move(told), End::none);
}

bool LeaseEvents::granted(const core::Grant& grant) {
    grant_ = grant;
    v1::LeaseEvent told = event();
    if (!fill_lease(*told.mutable_granted()->mutable_lease(), grant.deadline())) {
        return false;
    }
    emit(std::move(told), End::none);
    return true;
}

void LeaseEvents::renewed(core::Instant deadline) {
    v1::LeaseEvent told = event();
    if (fill_lease(*told.mutable_renewed()->mutable_lease(), deadline)) {
        emit(std::move(told), End::none);
    }
}

void LeaseEvents::anchored(core::Instant anchor, core::Ttl ttl, core::Instant deadline) {
    anchor_ = anchor;
    grant_->ttl = ttl;
    renewed(deadline);
}

void LeaseEvents::at_risk(core::Instant deadline, std::string_view why) {
    v1::LeaseEvent told = event();
    v1::AtRisk& risk = *told.mutable_at_risk();
    const core::Instant now = clock_.now();
    risk.set_elapsed_ms(ms(core::remaining(anchor_, now)));
    risk.set_safe_for_ms(ms(core::remaining(now, deadline)));
    risk.set_anchor(anchor_number(anchor_));
    risk.set_why(std::string{why});
    emit(std::move(told), End::none);
}

void LeaseEvents::recovered(core::Instant deadline) {
    v1::LeaseEvent told = event();
    if (fill_lease(*told.mutable_recovered()->mutable_lease(), deadline)) {
        emit(std::move(told), End::none);
    }
}

void LeaseEvents::revoke_requested(core::Instant until, std::string_view reason) {
    v1::LeaseEvent told = event();
    told.mutable_revoke_requested()->set_deadline_in_ms(ms(core::remaining(clock_.now(), until)));
    told.mutable_revoke_requested()->set_reason(std::string{reason});
    emit(std::move(told), End::none);
}

void LeaseEvents::lost(core::LossCause cause, std::string_view why) {
    v1::LeaseEvent told = event();
    told.mutable_lost()->set_cause(cause_of(cause));
    told.mutable_lost()->set_why(std::string{why});
    emit(std::move(told), End::lost);
}

void LeaseEvents::released(const core::Released& released) {
    v1::LeaseEvent told = event();
    v1::ReleaseResponse verdict;
    fill(verdict, released);
    told.mutable_released()->set_verdict(verdict.verdict());
    told.mutable_released()->set_newer_token(verdict.newer_token());
    emit(std::move(told), End::released);
}

void LeaseEvents::moving(core::Instant deadline) {
    v1::LeaseEvent told = event();
    v1::Moving& moving = *told.mutable_moving();
    const core::Instant now = clock_.now();
    moving.set_elapsed_ms(ms(core::remaining(anchor_, now)));
    moving.set_safe_for_ms(ms(core::remaining(now, deadline)));
    moving.set_anchor(anchor_number(anchor_));
    emit(std::move(told), End::moving);
}

}  // namespace holdfast::rpc
