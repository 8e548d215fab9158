#include "core/watchdog.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast::core {
namespace {

constexpr int kRenewalsPerTtl = 3;
constexpr int kJitterPercent = 10;
// A renewal may come up to ttl/30 early to share a call with others: a tenth of the interval.
constexpr int kCoalesceFraction = 30;
// Chunks per wake-up: 1,024 renewals, some 6 ms of the store's time; the rest follows at once.
constexpr int kMaxChunksPerRun = 8;
constexpr Duration kFirstRetry = Milliseconds{50};
// The last renewal asks for what is left until watch_until in whole milliseconds, rounded down.
constexpr Duration kRounding = Milliseconds{1};

std::string_view why_unanswered(const StoreResult<std::vector<RenewAnswer>>& answers,
                                std::size_t place) {
    if (!answers || !(*answers)[place].failure.empty()) {
        return answers ? (*answers)[place].failure : answers.error().message;
    }
    return (*answers)[place].recovering
               ? "its part of the store does not answer, or has lost its memory"
               : "too few replicas of the store have acknowledged it";
}

}  // namespace

Watchdog::Watchdog(const Clock& clock,
                   TimerQueue& timers,
                   LockStore& store,
                   Observer& observer,
                   FlightRecorder& recorder,
                   Options options)
    : clock_(clock),
      store_(store),
      observer_(observer),
      recorder_(recorder),
      options_(options),
      random_(options.seed),
      timer_(timers) {}

void Watchdog::granted(const Lease& lease, HolderId call, Ttl ttl, Instant sent_at, Watch watch) {
    HeldLease* before = table_.find(lease.holder);
    if (before != nullptr && before->lease.token != lease.token) {
        if (before->lease.access.mode != lease.access.mode) {
            convert(*before, {lease.token, lease.access});  // elsewhere
        } else if (before->listener || before->watched()) {
            lose(*before, LossCause::taken, "its request_id was granted anew");
        }
    }
    HeldLease& held = table_.put(lease);
    if (std::find(held.calls.begin(), held.calls.end(), call) == held.calls.end()) {
        held.calls.push_back(call);
    }
    // A retry gets the lease that stands: its time counts from the first grant.
    held.watch_until = std::min(held.watch_until, watch.until);
    if (watch.listener) {
        set_listener(held, std::move(watch.listener));
    }
    held.renew_at = held.watch_until != kNever || held.listener ? sent_at : kNever;
    extend(held, ttl, sent_at);
    arm();
}

void Watchdog::set_listener(HeldLease& held, std::shared_ptr<LeaseListener> listener) {
    held.streamed = held.streamed || listener;
    const auto before = std::exchange(held.listener, std::move(listener));
    held.closes_at = kNever;  // the new one is told of a revocation, too
    if (before && before != held.listener) {
        before->lost(LossCause::moved, "the lease was resumed on another stream");
    }
}

void Watchdog::renewed(const Lease& lease, Ttl ttl, Instant sent_at, Instant received_at) {
    HeldLease& held = confirmed(lease, sent_at);
    held.failures = 0;
    extend(held, ttl, sent_at);
    if (held.listener) {
        held.listener->anchored(received_at, ttl, held.deadline);
    }
    arm();
}

// The entry of a lease that the store has confirmed, as it is held.
HeldLease& Watchdog::confirmed(const Lease& lease, Instant sent_at) {
    HeldLease* held = table_.find(lease.holder);
    if (held == nullptr) {
        return table_.put(lease);
    }
    held->lease.replicas = std::max(held->lease.replicas, lease.replicas);
    if (sent_at >= held->converted_at) {  // else it may be older news
        convert(*held, {lease.token, lease.access});
    }
    return *held;
}

void Watchdog::resume(const Lease& lease, Ttl ttl, Instant sent_at, Watch watch) {
    HeldLease& held = confirmed(lease, sent_at);
    held.failures = 0;
    if (!watch.listener && held.listener) {
        // Taken over from a daemon that went away, but its client has come here meanwhile.
        extend(held, ttl, sent_at);
        arm();
        return;
    }
    held.watch_until = watch.until;
    set_listener(held, std::move(watch.listener));
    held.renew_at = sent_at;
    extend(held, ttl, sent_at);
    arm();
}

void Watchdog::cap(const Lease& lease, const LeaseListener* listener, Instant until) {
    HeldLease* held = table_.find(lease);
    if (held == nullptr || held->listener.get() != listener) {
        return;
    }
    held->watch_until = std::min(held->watch_until, until);
    if (held->deadline + kRounding >= held->watch_until) {
        held->renew_at = kNever;
    }
    table_.moved(*held);
    arm();
}

void Watchdog::detach(const Lease& lease, const LeaseListener* listener, Instant until) {
    HeldLease* held = table_.find(lease);
    if (held == nullptr || held->listener.get() != listener) {
        return;
    }
    const Instant wanted_until = held->watch_until;
    cap(lease, listener, until);
    held->listener.reset();
    if (!held->watched()) {
        held->watch_until = wanted_until;  // a retry of its acquire may have it watched anew
    }
}

void Watchdog::stop_renewing(const Lease& lease) {
    if (HeldLease* held = table_.find(lease)) {
        held->renew_at = kNever;
        if (held->listener) {
            table_.moved(*held);
        } else {
            table_.remove(*held);
        }
    }
}

void Watchdog::ended(HolderId holder, const Released& released) {
    if (HeldLease* held = table_.find(holder)) {
        const auto listener = std::move(held->listener);
        table_.remove(*held);
        if (listener) {
            listener->released(released);
        }
    }
}

void Watchdog::ended(const Lease& lease, const Released& released) {
    if (released.verdict != Verdict::superseded || table_.find(lease) != nullptr) {
        ended(lease.holder, released);
    }
}

void Watchdog::forget(const Lease& lease, HolderId call) {
    HeldLease* held = table_.find(lease);
    if (held != nullptr && std::erase(held->calls, call) > 0 && held->calls.empty()) {
        table_.remove(*held);
    }
}

void Watchdog::drain() {
    for (HeldLease* held : table_.all()) {
        if (held->listener && !held->listener->hangs_on_stream()) {
            held->listener.reset();  // to be handed on
        } else if (const auto listener = std::move(held->listener)) {
            held->renew_at = kNever;
            table_.moved(*held);
            listener->moving(held->deadline);
        }
    }
}

void Watchdog::lost(HolderId holder, LossCause cause, std::string_view why) {
    if (HeldLease* held = table_.find(holder)) {
        lose(*held, cause, why);
    }
}

std::vector<Watchdog::Unattended> Watchdog::unattended(std::size_t most) const {
    std::vector<Unattended> found;
    for (const HeldLease* held : table_.all()) {
        if (found.size() == most) {
            break;
        }
        if (held->watched() && !held->revoked && !held->listener && held->watch_until != kNever) {
            found.push_back({held->lease, held->ttl, held->watch_until});
        }
    }
    return found;
}

bool Watchdog::holds(const Lease& lease) {
    const HeldLease* held = table_.find(lease);
    return held != nullptr && clock_.now() < held->deadline;
}

void Watchdog::extend(HeldLease& held, Ttl ttl, Instant sent_at) {
    held.ttl = ttl;
    held.deadline = std::max(held.deadline, sent_at + ttl.value);
    if (held.watched()) {
        const Duration interval = Duration{ttl.value} / kRenewalsPerTtl;
        held.renew_at = held.deadline + kRounding >= held.watch_until
                            ? kNever
                            : sent_at + jittered(interval, kJitterPercent, random_);
    }
    table_.moved(held);
}

void Watchdog::arm() {
    const HeldLease* next = table_.earliest();
    if (next == nullptr) {
        timer_.cancel();
    } else if (!timer_.is_set() || timer_.when() > next->next_event()) {
        // A timer that stands too early only looks again; it is not moved for every change.
        timer_.set(next->next_event(), [this] { run(); });
    }
}

void Watchdog::run() {
    const Instant now = clock_.now();
    for (int chunks = 0; chunks < kMaxChunksPerRun; ++chunks) {
        Chunk chunk{{}, options_.command_timeout};
        while (chunk.commands.size() < LockStore::kMaxRenewals && handle_earliest(now, chunk)) {
        }
        if (chunk.commands.empty()) {
            break;
        }
        send(std::move(chunk));
    }
    arm();
}

// Expires or collects the earliest lease if it is due; false if nothing is.
bool Watchdog::handle_earliest(Instant now, Chunk& chunk) {
    HeldLease* held = table_.earliest();
    if (held == nullptr) {
        return false;
    }
    if (held->deadline <= now) {
        expire(*held);
        return true;
    }
    if (held->renewing || held->renew_at > now + held->ttl.value / kCoalesceFraction) {
        return false;
    }
    add_to(chunk, *held, now);
    return true;
}

void Watchdog::expire(HeldLease& held) {
    if (held.revoked) {
        lose(held, LossCause::revoked, "an operator has taken the lock away");
    } else if (held.deadline + kRounding >= held.watch_until && held.listener) {
        lose(held, LossCause::max_hold, "the longest time that was asked for has passed");
    } else if (held.watched() || held.renewing || held.listener) {
        lose(held, LossCause::deadline, "no renewal was confirmed before the deadline");
    } else {
        recorder_.record(held.deadline, Happening::expired, held.lease.name, held.lease.token);
        table_.remove(held);
    }
}

void Watchdog::add_to(Chunk& chunk, HeldLease& held, Instant now) {
    const auto left = remaining(now, held.watch_until);
    const Ttl ttl{std::min(held.ttl.value, std::max(left, Milliseconds{1}))};
    chunk.commands.push_back({held.lease, ttl, true});
    // A try may take a sixth of the ttl, so that there is time for others before the deadline.
    chunk.timeout = std::min(chunk.timeout, std::max(held.ttl.value / 6, Milliseconds{20}));
    held.renewing = true;
    table_.moved(held);
}

void Watchdog::send(Chunk chunk) {
    ++counters_.calls;
    const Instant sent_at = clock_.now();
    const std::span<const RenewCommand> commands{chunk.commands};
    const Milliseconds timeout = chunk.timeout;
    // The span stays good: moving a vector keeps its elements where they are.
    store_.renew(
        commands, timeout, [this, sent_at, sent = std::move(chunk.commands)](auto answers) {
            on_answers(sent, sent_at, answers);
        });
}

void Watchdog::on_answers(const std::vector<RenewCommand>& commands,
                          Instant sent_at,
                          const StoreResult<std::vector<RenewAnswer>>& answers) {
    for (std::size_t i = 0; i < commands.size(); ++i) {
        HeldLease* held = table_.find(commands[i].lease.holder);
        if (held == nullptr || !held->renewing) {
            continue;
        }
        held->renewing = false;
        if (!answers || (*answers)[i].recovering || (*answers)[i].not_durable ||
            !(*answers)[i].failure.empty()) {
            ++counters_.unanswered;
            fail(*held, why_unanswered(answers, i));
        } else {
            on_answer(*held, commands[i], (*answers)[i], sent_at);
        }
    }
    arm();
}

void Watchdog::on_answer(HeldLease& held,
                         const RenewCommand& command,
                         const RenewAnswer& answer,
                         Instant sent_at) {
    if (answer.closes_in && !answer.revoked) {
        ask_to_yield(held, *answer.closes_in, "an operator asks for the lock");
    }
    if (answer.renewed) {
        ++counters_.confirmed;
        if (answer.now && sent_at >= held.converted_at) {  // else it may be older news
            convert(held, *answer.now);
        }
        confirm(held, command.ttl, sent_at);
    } else if (answer.revoked) {
        stop_renewing(held);
    } else if (answer.released) {  // elsewhere, and the store's notice of it was lost
        ended(held.lease.holder, {Verdict::held_throughout, {}});
    } else if (command.lease.token == held.lease.token) {
        ++counters_.lost;
        lose(held, LossCause::taken, "the store says that the lease is gone");
    } else {
        fail(held, "the lease was being converted");
    }
}

void Watchdog::confirm(HeldLease& held, Ttl ttl, Instant sent_at) {
    const bool recovered = std::exchange(held.failures, 0) > 0;
    const Ttl own = held.ttl;
    extend(held, ttl, sent_at);
    held.ttl =
        own;  // the last renewal before watch_until asks for less; that is not the lease's ttl
    if (recovered) {
        observer_.lease_recovered(held.lease);
    }
    if (held.listener) {
        recovered ? held.listener->recovered(held.deadline) : held.listener->renewed(held.deadline);
    }
}

void Watchdog::put_at_risk(HeldLease& held, std::string_view why) {
    if (++held.failures == 1) {
        observer_.lease_at_risk(held.lease, why);
        if (held.listener) {
            held.listener->at_risk(held.deadline, why);
        }
    }
}

void Watchdog::fail(HeldLease& held, std::string_view why) {
    put_at_risk(held, why);
    if (held.watched()) {  // it may have ceased to be while the call was under way
        const Backoff backoff{kFirstRetry, std::max<Duration>(held.ttl.value / 10, kFirstRetry)};
        held.renew_at = clock_.now() + backoff.after(held.failures, random_);
    }
    table_.moved(held);
}

void Watchdog::lose(HeldLease& held, LossCause cause, std::string_view why) {
    const Lease lease = held.lease;
    const auto listener = std::move(held.listener);
    table_.remove(held);
    recorder_.record(clock_.now(), happening_of(cause), lease.name, lease.token);
    if (cause != LossCause::max_hold && cause != LossCause::moved) {  // those are as was agreed
        observer_.lease_lost(lease, cause);
    }
    if (listener) {
        listener->lost(cause, why);
    }
}

}  // namespace holdfast::core
