#include "redis/multiplexer.hpp"

#include "redis/error_class.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

namespace holdfast::redis {

BootTime boot_now() noexcept {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// Half of all places are for those that do not give way.
Multiplexer::Multiplexer(Limits limits) : limits_(limits) {
    limits_.window = std::max<std::size_t>(1, std::min(limits_.window, limits_.max_in_flight / 2));
}

std::optional<Failure> Multiplexer::push(Command& command, BootTime now) {
    if (command.gives_way && (!has_window() || !held_back_.empty())) {
        return hold_back(command, now);
    }
    if (entries_.size() >= limits_.max_in_flight ||
        output_.size() + command.wire.size() > limits_.max_queued_bytes) {
        ++counters_.refused;
        return Failure::refused_overloaded;
    }
    ++counters_.commands;
    enter(command, now, now + command.timeout);
    return {};
}

void Multiplexer::enter(Command& command, BootTime pushed_at, BootTime deadline) {
    earliest_ = std::min(earliest_, deadline);
    output_ += command.wire;
    entries_.push_back({pushed_at,
                        deadline,
                        command.gives_way,
                        false,
                        std::move(command.done),
                        std::move(command.late)});
    giving_way_ += command.gives_way ? 1 : 0;
    ++waiting_;
}

std::optional<Failure> Multiplexer::hold_back(Command& command, BootTime now) {
    if (held_back_bytes_ + command.wire.size() > limits_.max_queued_bytes) {
        ++counters_.refused;
        return Failure::refused_overloaded;
    }
    ++counters_.commands;
    const BootTime deadline = now + command.timeout;
    earliest_ = std::min(earliest_, deadline);
    held_back_bytes_ += command.wire.size();
    held_back_.push_back({now, deadline, std::move(command)});
    return {};
}

// As many as the window has room for.
void Multiplexer::let_go() {
    while (!held_back_.empty() && has_window() && entries_.size() < limits_.max_in_flight &&
           output_.size() < limits_.max_queued_bytes) {
        HeldBack& next = held_back_.front();
        held_back_bytes_ -= next.command.wire.size();
        enter(next.command, next.pushed_at, next.deadline);
        held_back_.pop_front();
    }
}

void Multiplexer::stage(std::string& into) {
    into.clear();
    into.swap(output_);
    waiting_ = 0;
}

Multiplexer::Health Multiplexer::received(std::string_view bytes, BootTime now) {
    if (!reader_->feed(bytes)) {
        return Health::protocol_error;
    }
    Health health = Health::good;
    for (bool broken = false;;) {
        auto reply = reader_->next(broken);
        if (broken) {
            return Health::protocol_error;
        }
        if (!reply) {
            let_go();
            return health;
        }
        if (entries_.size() == waiting_) {
            return Health::protocol_error;  // nobody asked
        }
        if ((*reply)->is_error() && needs_reconnect((*reply)->text())) {
            health = Health::wants_reconnect;
        }
        complete(*std::move(reply), now);
    }
}

void Multiplexer::complete(Reply reply, BootTime now) {
    Entry entry = std::move(entries_.front());
    entries_.pop_front();
    giving_way_ -= entry.gives_way ? 1 : 0;
    ++counters_.replies;
    counters_.latencies.add(now - entry.pushed_at);
    if (!entry.abandoned) {
        entry.done(std::move(reply));
        return;
    }
    ++counters_.late_replies;
    if (entry.late) {
        entry.late(reply);
    }
}

void Multiplexer::expire(BootTime now) {
    if (now < earliest_) {
        return;
    }
    earliest_ = BootTime::max();
    std::vector<absl::AnyInvocable<void(Outcome)>> overdue;  // called last: they may push
    for (Entry& entry : entries_) {
        if (entry.abandoned) {
            continue;
        }
        if (entry.deadline <= now) {
            entry.abandoned = true;
            overdue.push_back(std::exchange(entry.done, nullptr));
        } else {
            earliest_ = std::min(earliest_, entry.deadline);
        }
    }
    counters_.timeouts += overdue.size();
    std::deque<HeldBack> kept;
    std::vector<absl::AnyInvocable<void(Outcome)>> refused;
    for (HeldBack& held : held_back_) {
        if (held.deadline <= now) {
            held_back_bytes_ -= held.command.wire.size();
            refused.push_back(std::move(held.command.done));
        } else {
            earliest_ = std::min(earliest_, held.deadline);
            kept.push_back(std::move(held));
        }
    }
    held_back_ = std::move(kept);
    counters_.refused += refused.size();
    for (auto& done : overdue) {
        done(Failure::unknown_timeout);
    }
    for (auto& done : refused) {
        done(Failure::refused_overloaded);
    }
}

void Multiplexer::disconnected(Failure for_waiting) {
    std::deque<Entry> failed;
    failed.swap(entries_);
    const std::size_t written = failed.size() - waiting_;
    waiting_ = 0;
    giving_way_ = 0;
    std::deque<HeldBack> held_back;
    held_back.swap(held_back_);
    held_back_bytes_ = 0;
    output_.clear();
    earliest_ = BootTime::max();
    reader_.emplace();
    for (std::size_t i = 0; i < failed.size(); ++i) {
        if (!failed[i].abandoned) {
            failed[i].done(i < written ? Failure::unknown_disconnected : for_waiting);
        }
    }
    for (HeldBack& held : held_back) {
        held.command.done(for_waiting);
    }
}

}  // namespace holdfast::redis
