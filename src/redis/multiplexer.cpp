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

std::optional<Failure> Multiplexer::push(Command& command, BootTime now) {
    if (entries_.size() >= limits_.max_in_flight ||
        output_.size() + command.wire.size() > limits_.max_queued_bytes) {
        ++counters_.refused;
        return Failure::refused_overloaded;
    }
    ++counters_.commands;
    const BootTime deadline = now + command.timeout;
    earliest_ = std::min(earliest_, deadline);
    output_ += command.wire;
    entries_.push_back({now, deadline, false, std::move(command.done), std::move(command.late)});
    ++waiting_;
    return {};
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
    for (auto& done : overdue) {
        done(Failure::unknown_timeout);
    }
}

void Multiplexer::disconnected(Failure for_waiting) {
    std::deque<Entry> failed;
    failed.swap(entries_);
    const std::size_t written = failed.size() - waiting_;
    waiting_ = 0;
    output_.clear();
    earliest_ = BootTime::max();
    reader_.emplace();
    for (std::size_t i = 0; i < failed.size(); ++i) {
        if (!failed[i].abandoned) {
            failed[i].done(i < written ? Failure::unknown_disconnected : for_waiting);
        }
    }
}

}  // namespace holdfast::redis
