#include "core/reaper.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::core {
namespace {

constexpr Backoff kRetry{Milliseconds{50}, Milliseconds{1000}};

}  // namespace

Reaper::Reaper(const Clock& clock, TimerQueue& timers, LockStore& store, Options options)
    : clock_(clock), timers_(timers), store_(store), options_(options), random_(options.seed) {}

void Reaper::take(Order order) {
    if (entries_.size() >= options_.max_entries) {
        ++dropped_;
        return;
    }
    const Instant ends = std::max(order.quiet_after, clock_.now()) + store_hold(order.ttl);
    entries_.emplace_back(std::move(order), ends, timers_);
    send(std::prev(entries_.end()));
}

void Reaper::send(Place entry) {
    const Order& order = entry->order;
    if (order.token.value > 0) {
        store_.release({order.name, order.holder, order.token},
                       std::nullopt,
                       options_.command_timeout,
                       noted<ReleaseAnswer>(entry));
    } else {
        store_.cancel(order.name,
                      order.holder,
                      order.call,
                      options_.command_timeout,
                      noted<std::monostate>(entry));
    }
}

template <class Answer>
StoreDone<Answer> Reaper::noted(Place entry) {
    return [this, entry, sent_at = clock_.now()](const StoreResult<Answer>& answer) {
        on_answer(entry, sent_at, answer.has_value());
    };
}

void Reaper::on_answer(Place entry, Instant sent_at, bool confirmed) {
    const Instant now = clock_.now();
    if ((confirmed && sent_at >= entry->order.quiet_after) || now >= entry->give_up_at) {
        entries_.erase(entry);
        return;
    }
    entry->failures = confirmed ? 0 : entry->failures + 1;
    const Instant again = confirmed ? std::max(entry->order.quiet_after, now)
                                    : now + kRetry.after(entry->failures, random_);
    entry->timer.set(again, [this, entry] { send(entry); });
}

}  // namespace holdfast::core
