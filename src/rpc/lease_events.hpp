#pragma once

// What happens to one lease that is held over a stream, as the events that its client gets. On the
// thread of the lease's shard.
//
// elapsed_ms counts from an anchor: the receipt of the request that opened the stream, or of the
// holder's last Renew through this daemon (or ping, on a Session). Whoever anchors anew gets the
// anchor's number with the answer, and the events that count from it carry the same number.

#include "core/acquirer.hpp"
#include "core/lease_listener.hpp"
#include "holdfast/v1/lock_service.pb.h"

#include <optional>

namespace holdfast::rpc {

namespace v1 = ::holdfast::v1;

class LeaseEvents : public core::LeaseListener {
public:
    LeaseEvents(const core::Clock& clock, core::Instant anchor) : clock_(clock), anchor_(anchor) {}

    void queued(std::size_t position, const core::HolderSummary& holder);
    // False, and no event, if the grant's deadline has passed.
    bool granted(const core::Grant& grant);

    void renewed(core::Instant deadline) override;
    void anchored(core::Instant anchor, core::Ttl ttl, core::Instant deadline) override;
    void at_risk(core::Instant deadline, std::string_view why) override;
    void recovered(core::Instant deadline) override;
    void revoke_requested(core::Instant until, std::string_view reason) override;
    void lost(core::LossCause cause, std::string_view why) override;
    void released(const core::Released& released) override;
    void moving(core::Instant deadline) override;

protected:
    // How the lease's time here ends, if this is the last event.
    enum class End { none, released, lost, moving };
    virtual void emit(v1::LeaseEvent event, End end) = 0;

    const core::Clock& clock() const { return clock_; }
    const std::optional<core::Grant>& grant() const { return grant_; }

private:
    v1::LeaseEvent event() const;
    bool fill_lease(v1::Lease& lease, core::Instant deadline);

    const core::Clock& clock_;
    core::Instant anchor_;
    std::optional<core::Grant> grant_;
};

}  // namespace holdfast::rpc
