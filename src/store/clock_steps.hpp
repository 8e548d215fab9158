#pragma once

// Notices when Redis' clock is set, from what its replies say: each was written between the sending of its
// command and its reading, so it says between which two values the offset of Redis' clock to ours lies.
// Two replies that say so of the same clock agree, however slow they were: a slow one only says less. If
// they do not, the clock was set in between.
//
//   no step        what is known becomes the part that both agree on; it widens with time, by as much as
//                  the guard on every lease allows the two clocks to differ in speed (core::store_hold)
//   apart by up to kTolerance   nothing yet: several such steps in a row add up until they are noticed
//   forward        Redis lets leases end early: another may be granted what is still believed to be held
//   backward       Redis lets leases end late: a lock whose holder has vanished is free later, by as much;
//                  nothing is unsafe
//
// A clock of ours that stood still (a virtual machine that was halted) looks like a step forward, and is
// as bad: what we believe to be held has ended by then. A step that a slow reply hides is noticed by the
// next quick one. A step while nothing was known (before the first reply) is not noticed.

#include "core/lock_store.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace holdfast::store {

// A step forward beyond this is more than the shortest lease's guard.
inline constexpr core::Duration kClockGuard = core::store_hold(core::Ttl{});

// How often Redis' clock was set, as far as was noticed.
struct ClockSet {
    std::uint64_t forward = 0;
    std::uint64_t backward = 0;

    void count(std::chrono::microseconds step) { ++(step.count() > 0 ? forward : backward); }
};
// Is told of each, and whether leases may have ended early for it.
using ClockSetListener = std::function<void(std::chrono::microseconds by, bool beyond_guard)>;

class ClockSteps {
public:
    using Microseconds = std::chrono::microseconds;
    static constexpr core::Duration kTolerance = core::Milliseconds{50};

    // A reply says `time`; its command left at `sent_at`, and it was read at `now`. How far the clock has
    // been set at least, if it was: above 0 forward, below 0 backward.
    std::optional<Microseconds> learn(Microseconds time, core::Instant sent_at, core::Instant now) {
        const Range says{time - now.time_since_epoch(), time - sent_at.time_since_epoch()};
        if (!known_) {
            known_ = says;
            at_ = now;
            return std::nullopt;
        }
        const core::Duration drift = (now - at_) / kDriftFraction;
        Range& known = *known_;
        known = {known.least - drift, known.most + drift};
        at_ = now;
        if (says.least > known.most + kTolerance) {
            const auto step = says.least - known.most;
            known = says;
            return std::chrono::duration_cast<Microseconds>(step);
        }
        if (says.most < known.least - kTolerance) {
            const auto step = says.most - known.least;
            known = says;
            return std::chrono::duration_cast<Microseconds>(step);
        }
        if (says.least <= known.most && says.most >= known.least) {
            known = {std::max(known.least, says.least), std::min(known.most, says.most)};
        }
        return std::nullopt;
    }

private:
    // Of Redis' clock to ours.
    struct Range {
        core::Duration least;
        core::Duration most;
    };
    // What store_hold() adds to a ttl of any length.
    static constexpr int kDriftFraction = 10;

    std::optional<Range> known_;
    core::Instant at_{};  // when that was known
};

}  // namespace holdfast::store
