#include "core/timers.hpp"

#include <utility>

namespace holdfast::core {

void Timer::set(Instant when, absl::AnyInvocable<void()> action) {
    when_ = when;
    action_ = std::move(action);
    queue_.heap_.update(*this);
}

void Timer::cancel() {
    queue_.heap_.remove(*this);
    action_ = nullptr;
}

Instant TimerQueue::next() const {
    return heap_.empty() ? kNever : heap_.top().when_;
}

void TimerQueue::fire(Instant now) {
    for (std::size_t left = heap_.size(); left > 0 && !heap_.empty(); --left) {
        Timer& timer = heap_.top();
        if (timer.when_ > now) {
            return;
        }
        heap_.remove(timer);
        auto action = std::exchange(timer.action_, nullptr);
        action();  // may destroy the timer
    }
}

}  // namespace holdfast::core
