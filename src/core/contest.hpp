#pragma once

// What Acquirer keeps of those who want a lock: one Attempt for each call, one Contest for each name.
// The states and who changes them are described in acquirer.hpp; here is only what is remembered.

#include "core/acquirer.hpp"

#include <list>
#include <optional>
#include <utility>

namespace holdfast::core {

struct Acquirer::Attempt {
    Attempt(AcquireRequest asked, Done<Grant> answer, TimerQueue& timers)
        : request(std::move(asked)), done(std::move(answer)), wait_over(timers) {}

    Ticket ticket = 0;
    AcquireRequest request;
    Done<Grant> done;  // empty: the caller has gone
    Contest* contest = nullptr;
    std::list<Attempt*>::iterator place;
    Instant end_at{};        // when waiting, or asking after a lost reply, ends
    Instant sent_at{};       // of the last sending
    Instant quiet_after{};   // no sending with a lost reply is executed after this
    bool lingering = false;  // some sending had or may still have an effect
    bool unknown = false;    // the last word on it is a lost reply
    unsigned failures = 0;
    Timer wait_over;

    bool tries_once() const { return request.wait == Milliseconds{0}; }
};

struct Acquirer::Contest {
    Contest(LockName wanted, TimerQueue& timers) : name(std::move(wanted)), poll(timers) {}

    LockName name;
    std::list<Attempt*> waiters;  // in order of arrival
    std::list<Attempt*> triers;   // those who do not wait; here only until the next answer
    Attempt* head = nullptr;      // whose acquire is under way or to be sent again
    bool trying = false;
    bool freed_meanwhile = false;
    HolderSummary holder;               // as of the last answer
    Instant held_until{};               // in the store; the past if the lock may be free
    std::optional<StoreError> failure;  // of the last sending
    Timer poll;

    bool empty() const { return waiters.empty() && triers.empty(); }
    std::list<Attempt*>& queue_of(const Attempt& attempt) {
        return attempt.tries_once() ? triers : waiters;
    }
    Attempt* first() const { return waiters.empty() ? triers.front() : waiters.front(); }
};

}  // namespace holdfast::core
