#pragma once

// What the acquirer keeps: an Attempt for each acquire that has no answer, a Contest for each name.
// The states and who changes them are described in acquirer.hpp; here is what is remembered, and
// whose turn it is.

#include "core/acquirer.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace holdfast::core {

struct Acquirer::Attempt {
    Attempt(AcquireRequest asked, Done<Grant> answer, TimerQueue& timers)
        : request(std::move(asked)),
          done(std::move(answer)),
          arrival(request.upgrade ? Instant::min()
                                  : request.received_at - request.priority * kPriorityStep),
          wait_over(timers) {}

    Ticket ticket = 0;
    AcquireRequest request;
    Done<Grant> done;  // empty: the caller has gone
    Contest* contest = nullptr;
    Instant arrival;         // less the priority; decides the order
    Instant end_at{};        // when waiting, or asking after a lost reply, ends
    Instant asked_at{};      // of the first sending of those that one answer is awaited for
    Instant sent_at{};       // of the last sending
    Instant quiet_after{};   // no sending with a lost reply is executed after this
    bool under_way = false;  // a sending has no answer yet
    std::size_t place_in_batch = 0;
    bool leaves_ticket = false;  // its last sending did, if it was refused
    bool asks_again = false;     // a retry: first, whether its lease stands already
    bool lingering = false;      // some sending had or may still have an effect
    bool unknown = false;        // the last word on it is a lost reply
    std::string not_durable;     // the last word on it is a grant that too few replicas have; why
    bool knows_it_waits = false;
    unsigned failures = 0;
    unsigned too_late = 0;  // grants that were read when little was left of them
    Timer wait_over;

    // An upgrade comes before all who wait, and so is asked for like the first of them.
    bool tries_once() const { return request.wait == Milliseconds{0} && !request.upgrade; }
    // When it ends, unless it has not been asked for by then.
    Instant first_look_by(Milliseconds patience) const {
        return request.upgrade
                   ? std::max(end_at,
                              std::min(request.received_at + patience, request.call_deadline))
                   : end_at;
    }
    bool shares() const { return request.access.mode == Mode::shared && !request.upgrade; }
    // Whether it is granted whenever the other is, asked at the same moment.
    bool goes_with(const Attempt& other) const {
        return request.access == other.request.access && request.access.mode != Mode::exclusive &&
               !request.upgrade;
    }
};

struct Acquirer::Contest {
    Contest(LockName wanted, TimerQueue& timers) : name(std::move(wanted)), poll(timers) {}

    struct Earlier {
        bool operator()(const Attempt* a, const Attempt* b) const {
            return std::pair{a->arrival, a->ticket} < std::pair{b->arrival, b->ticket};
        }
    };
    using Queue = std::set<Attempt*, Earlier>;

    LockName name;
    Queue waiters;
    Queue loners;      // of the waiters, those who would not share the lock
    Queue triers;      // those who do not wait; here only until the next answer
    Queue unresolved;  // of both, those whose last answer was lost, and retries
    std::size_t under_way = 0;
    bool recovering = false;  // the last answer: nothing is granted yet, by anybody
    bool elsewhere = false;   // the last answer: held by one who tells nobody when it goes
    bool freed_meanwhile = false;
    bool has_ticket = false;                           // the store may have a ticket of ours
    std::optional<QueueHead> stated;                   // the one it has, as far as is known
    std::optional<QueueHead> if_refused;               // what the commands under way leave
    std::vector<std::optional<QueueHead>> if_granted;  // by their place in the batch
    HolderSummary holder;                              // as of the last answer
    std::size_t waiting_elsewhere = 0;
    Instant held_until{};               // in the store; the past if the lock may be had
    std::optional<StoreError> failure;  // of the last sending
    Timer poll;

    bool empty() const { return waiters.empty() && triers.empty(); }
    bool asking() const { return under_way > 0; }
    Queue& queue_of(const Attempt& attempt) { return attempt.tries_once() ? triers : waiters; }

    void insert(Attempt& attempt) {
        queue_of(attempt).insert(&attempt);
        if (!attempt.tries_once() && !attempt.shares()) {
            loners.insert(&attempt);
        }
    }
    void erase(Attempt& attempt) {
        for (Queue* queue : {&queue_of(attempt), &loners, &unresolved}) {
            queue->erase(&attempt);
        }
    }

    // Whom to ask for now: those who may have the lock already; else the first waiter, or trier, with those
    // right behind who go along.
    std::vector<Attempt*> next_batch(std::size_t most) const {
        if (!unresolved.empty()) {
            return {unresolved.begin(), unresolved.end()};
        }
        std::vector<Attempt*> batch;
        for (Attempt* attempt : waiters.empty() ? triers : waiters) {
            if (batch.size() == most || (!batch.empty() && !attempt->goes_with(*batch.front()))) {
                break;
            }
            batch.push_back(attempt);
        }
        return batch;
    }

    // Whether it would wait for one who waits for its own lease to end.
    bool deadlocks(const AcquireRequest& request) const {
        return request.upgrade && !waiters.empty() && (*waiters.begin())->request.upgrade &&
               (*waiters.begin())->request.holder != request.holder;
    }

    // Whether the store has to hear of another first waiter.
    bool outdated() const {
        const auto head = head_without({});
        return head && !(stated && stated->same_place(*head));
    }

    // What the store shall keep of our waiters when `served` have what they want.
    std::optional<QueueHead> head_without(const std::vector<Attempt*>& served) const {
        const auto is_served = [&](const Attempt* attempt) {
            return std::find(served.begin(), served.end(), attempt) != served.end();
        };
        const auto first = std::find_if_not(waiters.begin(), waiters.end(), is_served);
        if (first == waiters.end()) {
            return std::nullopt;
        }
        const auto alone = std::find_if_not(loners.begin(), loners.end(), is_served);
        const auto gone = std::count_if(
            served.begin(), served.end(), [](const Attempt* one) { return !one->tries_once(); });
        return QueueHead{(*first)->arrival,
                         (*first)->request.access,
                         (*first)->request.upgrade,
                         alone == loners.end() ? std::nullopt : std::optional{(*alone)->arrival},
                         waiters.size() - static_cast<std::size_t>(gone)};
    }

    // For each of the batch, the same when it and those before it are served.
    std::vector<std::optional<QueueHead>> heads_after(const std::vector<Attempt*>& batch) const {
        std::vector<std::optional<QueueHead>> heads;
        std::vector<Attempt*> served;
        for (Attempt* attempt : batch) {
            served.push_back(attempt);
            heads.push_back(head_without(served));
        }
        return heads;
    }
};

}  // namespace holdfast::core
