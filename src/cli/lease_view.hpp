#pragma once

// What a client knows of its lease: until when it may believe in it. Pure: times come in.
//
// What is told on a stream counts from an anchor, a request of ours that the daemon names by a number:
// the opening of the stream, or a Renew. We remember when we sent each, and believe
//   send time + elapsed_ms + safe_for_ms.
// An anchor ages, for our clock and the daemon's do not run at quite the same rate: it serves for 100
// times the ttl, at most 10 minutes. What counts from an older one, or from one that we do not know,
// tells nothing. So a Renew is due in the middle of an anchor's life.

#include "cli/boot_clock.hpp"
#include "holdfast/v1/lock_service.pb.h"

#include <cstdint>
#include <deque>
#include <optional>

namespace holdfast::cli {

namespace v1 = ::holdfast::v1;

class LeaseView {
public:
    // A stream is opened: its `granted` names the anchor.
    void opened(BootTime sent_at) { opened_at_ = sent_at; }
    void told(const v1::LeaseEvent& event);
    // The answer to a Renew that was sent then.
    void renewed(const v1::Lease& lease, BootTime sent_at);

    // Of the grant.
    const v1::Lease& lease() const { return lease_; }
    std::chrono::milliseconds ttl() const { return std::chrono::milliseconds{lease_.ttl_ms()}; }
    // Nothing that is told later makes it earlier. 0 while there is nothing to believe.
    BootTime believe_until() const { return believe_until_; }
    std::chrono::milliseconds safe_for(BootTime now) const;  // 0 at the least
    // When the newest anchor is in the middle of its life.
    BootTime new_anchor_at() const;

private:
    struct Anchor {
        std::uint64_t number = 0;
        BootTime sent_at{};
    };

    void add(std::uint64_t number, BootTime sent_at);
    void believe(std::uint64_t anchor, std::uint64_t elapsed_ms, std::uint64_t safe_for_ms);
    BootTime anchor_life() const;

    v1::Lease lease_;
    BootTime opened_at_{};
    std::deque<Anchor> anchors_;  // the newest last
    BootTime believe_until_{};
};

}  // namespace holdfast::cli
