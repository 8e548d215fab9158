#pragma once

// Who holds a lease over a stream, and is told what becomes of it. Called on the shard's thread; must
// not block, and must not call back into the shard from within.
//
//   renewed, anchored, at_risk, recovered, converted, revoke_requested   any number of times, while the
//                                                lease stands
//   lost | released | moving                         once, last: the lease is over, or this daemon

#include "core/clock.hpp"
#include "core/lock_store.hpp"

#include <string_view>

namespace holdfast::core {

enum class LossCause {
    deadline,  // no renewal could be confirmed before the deadline
    taken,     // the lease is no longer in the store, or somebody else's
    revoked,  // an operator took it away, or its holder was asked to yield and did not; nobody else is
              // granted the lock before the deadline that was told
    max_hold,  // it has been held for as long as its holder wanted at most
    moved,     // it was resumed on another stream
};

constexpr const char* to_string(LossCause cause) {
    switch (cause) {
        case LossCause::deadline:
            return "deadline passed";
        case LossCause::taken:
            return "gone from the store";
        case LossCause::revoked:
            return "revoked";
        case LossCause::max_hold:
            return "max_hold_ms passed";
        case LossCause::moved:
            return "resumed on another stream";
    }
    return "?";
}

class LeaseListener {
public:
    virtual ~LeaseListener() = default;

    // False once its stream has gone: what it waits for is given up.
    virtual bool listens() const { return true; }
    // False if it watches for the daemon itself: its lease goes on when the daemon drains.
    virtual bool hangs_on_stream() const { return true; }

    // `deadline`: until when the lease may be believed.
    virtual void renewed(Instant deadline) = 0;
    // The holder has renewed by a call of its own, which was received at `anchor`.
    virtual void anchored(Instant anchor, Ttl ttl, Instant deadline) = 0;
    // It is held in another mode, or with another token, from now on.
    virtual void converted(const Lease& lease, Instant deadline) = 0;
    virtual void at_risk(Instant deadline, std::string_view why) = 0;
    virtual void recovered(Instant deadline) = 0;
    virtual void revoke_requested(Instant until, std::string_view reason) = 0;
    virtual void lost(LossCause cause, std::string_view why) = 0;
    virtual void released(const Released& released) = 0;
    // This daemon is going away: the lease stands until `deadline`, to be resumed at another.
    virtual void moving(Instant deadline) = 0;
};

}  // namespace holdfast::core
