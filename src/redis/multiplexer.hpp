#pragma once

// Many commands on one connection, without the connection: what to write, whom a reply belongs to,
// who has waited too long. Connection performs it on a socket.
//
//   held back  gives way: too many of its kind are under way; it is not in line yet
//   waiting    in the output buffer, not yet handed to a write
//   written    handed to a write; its reply is expected, in order
//   abandoned  written, timed out: `done` got unknown_timeout, the place in line is kept
//
//   push           -> waiting, or held back; or refused at once when a cap is reached
//   stage()        all waiting -> written, as one buffer for one write
//   a reply        written -> done(reply); abandoned -> late(reply); both leave; held back -> waiting
//   timeout        waiting, written -> abandoned (the bytes of a waiting one may leave any time)
//                  held back -> refused_overloaded
//   disconnected() held back, waiting -> refused_disconnected; written -> unknown_disconnected
//
// So what keeps leases alive stands behind `window` commands that can wait at most (some 20 ms of Redis' time),
// however many there are; and a server that stands still has no more than those to do when it goes on, while
// the others are refused by their timeout.
//
// Nothing is ever written twice.

#include "redis/client.hpp"
#include "redis/latencies.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace holdfast::redis {

// A point in time on CLOCK_BOOTTIME.
using BootTime = std::chrono::nanoseconds;
BootTime boot_now() noexcept;

class Multiplexer {
public:
    struct Limits {
        std::size_t max_in_flight = 10'000;
        std::size_t max_queued_bytes =
            32 << 20;               // waiting, in case the server stops reading; held back
        std::size_t window = 1000;  // under way of those that give way
    };
    struct Counters {
        std::uint64_t commands = 0;
        std::uint64_t replies = 0;
        std::uint64_t timeouts = 0;
        std::uint64_t late_replies = 0;
        std::uint64_t refused = 0;
        Latencies latencies;  // of all replies, late ones too
    };
    enum class Health { good, protocol_error, wants_reconnect };

    explicit Multiplexer(Limits limits);

    // Takes the command, or says why not and leaves it untouched.
    std::optional<Failure> push(Command& command, BootTime now);

    bool has_output() const { return !output_.empty(); }
    // All that waits, for one write. `into` keeps its memory for the next time.
    void stage(std::string& into);

    // Bytes from the server: calls `done` and `late` of what they complete. After anything but
    // good, close the connection and call disconnected().
    Health received(std::string_view bytes, BootTime now);
    // Times out what is due. Cheap while nothing is.
    void expire(BootTime now);
    // The connection is gone: fails everything and starts afresh.
    void disconnected(Failure for_waiting);

    // Those that are held back, too.
    std::size_t in_flight() const { return entries_.size() + held_back_.size(); }
    const Counters& counters() const { return counters_; }

private:
    struct Entry {
        BootTime pushed_at;
        BootTime deadline;
        bool gives_way;
        bool abandoned = false;
        absl::AnyInvocable<void(Outcome)> done;
        absl::AnyInvocable<void(const Reply&)> late;
    };

    struct HeldBack {
        BootTime pushed_at;
        BootTime deadline;
        Command command;
    };

    void enter(Command& command, BootTime pushed_at, BootTime deadline);
    std::optional<Failure> hold_back(Command& command, BootTime now);
    void let_go();
    bool has_window() const { return giving_way_ < limits_.window; }
    void complete(Reply reply, BootTime now);

    Limits limits_;
    Counters counters_;
    std::string output_;
    std::deque<Entry> entries_;   // in the order of their bytes
    std::size_t waiting_ = 0;     // how many at the end of entries_ are not staged
    std::size_t giving_way_ = 0;  // of entries_, as long as their reply has not come
    std::deque<HeldBack> held_back_;
    std::size_t held_back_bytes_ = 0;
    BootTime earliest_ = BootTime::max();  // no deadline is before this
    std::optional<ReplyReader> reader_{std::in_place};
};

}  // namespace holdfast::redis
