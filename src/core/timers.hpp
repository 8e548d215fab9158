#pragma once

// Timers without a clock of their own: a queue of (when, what), which whoever owns the thread
// fires. That owner asks next() how long it may sleep and calls fire(now) when it wakes. The
// simulator does the same with its own time.

#include "core/clock.hpp"
#include "core/indexed_heap.hpp"

#include <absl/functional/any_invocable.h>

namespace holdfast::core {

class TimerQueue;

// One timer: set at most once at a time, cancelled by its destructor.
class Timer : public HeapPlace {
public:
    explicit Timer(TimerQueue& queue) : queue_(queue) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Calls `action` from fire() once `when` has come. Setting it again replaces both.
    void set(Instant when, absl::AnyInvocable<void()> action);
    void cancel();
    bool is_set() const { return in_heap(); }
    Instant when() const { return when_; }

private:
    friend class TimerQueue;
    TimerQueue& queue_;
    Instant when_ = kNever;
    absl::AnyInvocable<void()> action_;
};

class TimerQueue {
public:
    // When the earliest timer is due; kNever if none is set.
    Instant next() const;

    // Runs the timers that are due, at most as many as stood in the queue at the start: one call
    // always ends, even if an action sets a timer for a time that has passed.
    void fire(Instant now);

private:
    friend class Timer;
    struct Key {
        Instant operator()(const Timer& timer) const { return timer.when_; }
    };
    IndexedHeap<Timer, Key> heap_;
};

}  // namespace holdfast::core
