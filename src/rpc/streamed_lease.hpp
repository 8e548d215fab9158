#pragma once

// One lease that is held over a stream: what happens to it, as the events that its client gets, and
// what becomes of it when the stream breaks. On the thread of the lease's shard.
//
//   stream breaks   -> if `granted` was never given to gRPC, the lease is given up: nobody knows of it. One
//                      that was resumed is only renewed no more, whatever on_disconnect says
//                   -> else on_disconnect: renewed no more, or for grace_ms more, or released
//
// elapsed_ms counts from an anchor: the receipt of the request that opened the stream, or of the
// holder's last Renew through this daemon (or ping, on a Session). Whoever anchors anew gets the
// anchor's number with the answer, and the events that count from it carry the same number.

#include "core/lock_manager.hpp"
#include "rpc/translate.hpp"

#include <optional>

namespace holdfast::rpc {

namespace v1 = ::holdfast::v1;

class StreamedLease : public core::LeaseListener {
public:
    StreamedLease(const core::Clock& clock, core::Instant anchor, Disconnect on_disconnect)
        : clock_(clock), anchor_(anchor), on_disconnect_(on_disconnect) {}

    void queued(std::size_t position, const core::HolderSummary& holder);
    // False, and no event, if the grant's deadline has passed. `resumed`: its client knew of it before.
    bool granted(const core::Grant& grant, bool resumed);
    // The stream is gone; so many of its messages had been given to gRPC.
    void stream_broke(core::LockManager& manager, std::size_t begun);
    // The message that tells of the grant has this number, if that was not known at once.
    void told_in(std::size_t number) { granted_in_ = number; }
    // The grant was not told to anybody.
    void give_up(core::LockManager& manager);

    void renewed(core::Instant deadline) override;
    void anchored(core::Instant anchor, core::Ttl ttl, core::Instant deadline) override;
    void converted(const core::Lease& lease, core::Instant deadline) override;
    void at_risk(core::Instant deadline, std::string_view why) override;
    void recovered(core::Instant deadline) override;
    void revoke_requested(core::Instant until, std::string_view reason) override;
    void lost(core::LossCause cause, std::string_view why) override;
    void released(const core::Released& released) override;
    void moving(core::Instant deadline) override;

protected:
    // How the lease's time here ends, if this is the last event.
    enum class End { none, released, lost, moving };
    // The number of the stream's message that has it.
    virtual std::size_t emit(v1::LeaseEvent event, End end) = 0;
    // From where elapsed_ms counts.
    virtual core::Instant anchor() const { return anchor_; }

    const core::Clock& clock() const { return clock_; }
    const std::optional<core::Grant>& grant() const { return grant_; }
    bool known_before() const { return known_before_; }
    bool fill_lease(v1::Lease& lease, core::Instant deadline);

private:
    v1::LeaseEvent event() const;
    void disconnect(core::LockManager& manager);

    const core::Clock& clock_;
    core::Instant anchor_;
    const Disconnect on_disconnect_;
    std::optional<core::Grant> grant_;
    std::size_t granted_in_ = 0;  // the number of the message that tells of the grant
    bool known_before_ = false;
};

}  // namespace holdfast::rpc
