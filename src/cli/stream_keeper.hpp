#pragma once

// Keeps one lock over Hold: the daemon renews and tells what happens.
//
//   asking     a stream is open. UNAVAILABLE: another is opened, with the same request_id, until
//              `obtain_by`, if the request waits at all
//   held       connected   the daemon renews, at a third of the ttl. If we know of no renewal when half
//                          of the ttl has gone, or the anchor is old (lease_view.hpp), we Renew, by a
//                          call of its own
//              broken      the stream has ended though the lease has not (the daemon died or drains, the
//                          network): it is opened again by resume_lease_id at the same address, where
//                          another daemon may answer; and we Renew meanwhile, from a third of the ttl on
//   over       nothing is open
//
// So the lease does not depend on the stream, but what is pushed does: LOST, AT_RISK, REVOKE_REQUESTED.
// With ON_DISCONNECT_RELEASE_NOW the daemon has given the lock away when a stream breaks: then it is lost.
// But not if it said `moving` before: then it keeps the lease, to be resumed.

#include "cli/hold_stream.hpp"
#include "cli/keeper.hpp"
#include "cli/lease_view.hpp"

#include <memory>

namespace holdfast::cli {

class StreamKeeper final : public Keeper {
public:
    // `request` as for Hold.
    StreamKeeper(std::string server, v1::AcquireRequest request, BootTime obtain_by);

    std::optional<Told> turn() override;
    BootTime turn_at() const override;
    int fd() const override { return wake_.fd(); }

    const std::string& lease_id() const override { return view_.lease().lease_id(); }
    std::chrono::milliseconds ttl() const override { return view_.ttl(); }
    BootTime believe_until() const override { return view_.believe_until(); }
    std::vector<std::uint64_t> tokens() const override { return {view_.lease().fencing_token()}; }

private:
    enum class State { asking, held, over };

    std::optional<Told> look();
    void open();
    std::optional<Told> on_event(v1::LeaseEvent event);
    std::optional<Told> on_granted(v1::LeaseEvent event);
    std::optional<Told> on_end(const grpc::Status& status);
    std::optional<Told> on_time(BootTime now);
    void renewed(const Held& held) override;
    BootTime renewal_due() const;

    Wake wake_;
    v1::AcquireRequest request_;
    const BootTime obtain_by_;
    State state_ = State::asking;
    bool connected_ = false;  // held, and the stream has said so
    bool moving_ = false;     // the daemon has sent us away, and no other has taken us in yet
    LeaseView view_;
    BootTime open_at_{};     // without a stream: when to open one
    BootTime open_until_{};  // broken, with a stream: when to give it up
    int tries_ = 0;          // to open one, since it broke
    std::unique_ptr<HoldStream> stream_;
};

}  // namespace holdfast::cli
