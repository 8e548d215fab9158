#pragma once

// The reaper sees to it that nothing stays behind an acquire or release whose outcome is unknown,
// or whose caller has gone: it cancels the call, or repeats the release, until the store confirms
// it.
//
//   sent      a cancel is under way -> done, confirmed, if it left after `quiet_after`
//                                   -> resting, confirmed too early: a copy of the acquire may
//                                      run until its own not_after; cancel once more after that
//                                   -> resting, no answer: back-off
//   resting   -> sent, when the timer fires
//   either    -> dropped at `give_up_at`: by then the lease has ended by itself
//
// A cancel that was confirmed early frees the lock at once; the closed id stops late copies, and
// the second cancel covers the case that the store has forgotten the closed id.

#include "core/backoff.hpp"
#include "core/lock_store.hpp"
#include "core/timers.hpp"

#include <cstdint>
#include <list>

namespace holdfast::core {

class Reaper {
public:
    struct Options {
        Milliseconds command_timeout{1000};
        std::uint32_t seed = 1;
        // Bounds memory while the store is away; above it, leases end by their ttl alone.
        std::size_t max_entries = 65'536;
    };

    Reaper(const Clock& clock, TimerQueue& timers, LockStore& store, Options options);

    struct Order {
        LockName name;
        HolderId holder;
        HolderId call;        // of a cancel
        FencingToken token;   // not 0: repeat the release of this lease, instead of a cancel
        Ttl ttl;              // of the lease that may be there
        Instant quiet_after;  // no copy of the acquire does anything after this
    };
    void take(Order order);

    std::size_t pending() const { return entries_.size(); }
    std::uint64_t dropped() const { return dropped_; }

private:
    struct Entry {
        Entry(Order what, Instant give_up, TimerQueue& timers)
            : order(std::move(what)), give_up_at(give_up), timer(timers) {}
        Order order;
        Instant give_up_at;
        unsigned failures = 0;
        Timer timer;
    };
    using Place = std::list<Entry>::iterator;

    void send(Place entry);
    template <class Answer>
    StoreDone<Answer> noted(Place entry);
    void on_answer(Place entry, Instant sent_at, bool confirmed);

    const Clock& clock_;
    TimerQueue& timers_;
    LockStore& store_;
    Options options_;
    Random random_;
    std::list<Entry> entries_;
    std::uint64_t dropped_ = 0;
};

}  // namespace holdfast::core
