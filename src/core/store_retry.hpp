#pragma once

// Asks the store again until it answers or time is up: for release and renew, which are safe to
// repeat. The end of an unanswered one is STORE_UNAVAILABLE if no sending can have been executed,
// else OUTCOME_UNKNOWN.

#include "core/backoff.hpp"
#include "core/error.hpp"
#include "core/lock_store.hpp"
#include "core/timers.hpp"

#include <memory>
#include <utility>

namespace holdfast::core {

template <class Answer>
class StoreRetry : public std::enable_shared_from_this<StoreRetry<Answer>> {
public:
    // `sent_at` is when the sending left that was answered.
    using Done = absl::AnyInvocable<void(Result<Answer>, Instant sent_at)>;
    using Send = absl::AnyInvocable<void(StoreDone<Answer>)>;
    // False when nobody wants it any more: then it is not sent again.
    using Wanted = absl::AnyInvocable<bool()>;

    static void run(const Clock& clock,
                    TimerQueue& timers,
                    Random& random,
                    Instant until,
                    Send send,
                    Done done,
                    Wanted wanted = nullptr) {
        auto retry = std::make_shared<StoreRetry>(clock, timers, random, until);
        retry->send_ = std::move(send);
        retry->done_ = std::move(done);
        retry->wanted_ = std::move(wanted);
        retry->send();
    }

    StoreRetry(const Clock& clock, TimerQueue& timers, Random& random, Instant until)
        : clock_(clock), random_(random), until_(until), timer_(timers) {}

private:
    static constexpr Backoff kBackoff{Milliseconds{20}, Milliseconds{500}};

    void send() {
        sent_at_ = clock_.now();
        send_(
            [self = this->shared_from_this()](auto answer) { self->on_answer(std::move(answer)); });
    }

    void on_answer(StoreResult<Answer> answer) {
        if (answer) {
            done_(*std::move(answer), sent_at_);
            return;
        }
        const StoreError& error = answer.error();
        if (error.failure == StoreFailure::mode_conflict) {
            done_(fail(Reason::mode_conflict, error.message), sent_at_);
            return;
        }
        unknown_ = unknown_ || error.failure != StoreFailure::not_executed;
        const Instant again = clock_.now() + kBackoff.after(++failures_, random_);
        if (again >= until_ || (wanted_ && !wanted_())) {
            done_(unknown_ ? fail(Reason::outcome_unknown, "no answer in time: " + error.message)
                           : fail(Reason::store_unavailable, "nothing was done: " + error.message),
                  sent_at_);
            return;
        }
        timer_.set(again, [self = this->shared_from_this(), last = error] {
            if (self->wanted_ && !self->wanted_()) {
                self->on_answer(tl::unexpected(last));  // ends it
            } else {
                self->send();
            }
        });
    }

    const Clock& clock_;
    Random& random_;
    Instant until_;
    Instant sent_at_{};
    bool unknown_ = false;
    unsigned failures_ = 0;
    Send send_;
    Done done_;
    Wanted wanted_;
    Timer timer_;
};

}  // namespace holdfast::core
