#pragma once

// How many replicas have what was written: group commit by WAIT.
//
// WAIT counts the replicas that have acknowledged all that its own connection has written. So a connection
// that carries nothing else writes a key, the beacon (lua/beacon.lua), and sends WAIT behind it: as
// the primary's writes have one order, that covers every write that it has answered before, whichever
// connection it came by, and the connections that carry locks never block. A retry that would only read
// cannot make WAIT count too early either, for the beacon is always a write.
//
// A lane is one such connection, with one beacon and WAIT under way at a time; what comes meanwhile goes
// together with the next. There are two lanes: the usual level, and what asks for more, so that those who
// ask for replicas that are not there do not slow down the others.
//
//   down      nobody has asked for this lane yet, or its connection is down. What comes waits for it, for
//             `timeout` at most -> idle, with a connection
//   idle      -> under way, as soon as something has come: a beacon, WAIT for the most replicas that
//             anybody of the batch wants, for `timeout` at most
//   under way -> idle: all of the batch hear how many have acknowledged. Each decides if that is enough
//             -> idle: the beacon or WAIT has failed, or the connection broke: it is not known how many,
//             which is told as none, with the reason
//
// A failover: what was written to another incarnation of the primary (redis::ServerInfo) than the lane's
// connection leads to, or than its server is by now, has no acknowledgements: the number of replicas that
// follow the new one says nothing of a write to the old. The connection knows the run_id, which is the
// same as long as it is up; the beacon compares the rest, which changes when a server is made a replica
// and a primary again.

#include "core/lock_store.hpp"
#include "core/timers.hpp"
#include "redis/client.hpp"
#include "redis/server_info.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::store {

class Replication {
public:
    struct Options {
        std::string key;                  // of the beacon
        std::size_t usual = 1;            // the most that goes over the first lane
        core::Milliseconds timeout{250};  // of WAIT
        // A connection leads to another primary than it was told: it should be made anew.
        std::function<void()> on_other = [] {};
    };
    // One lane's connection: its client, and what starts it, which is called once, before the first use.
    struct Line {
        redis::Client& client;
        std::function<void()> start;
    };
    static constexpr std::size_t kLanes = 2;

    struct Acks {
        std::size_t count = 0;
        std::string why;  // it is not known how many
    };
    using Done = absl::AnyInvocable<void(const Acks&)>;

    Replication(const core::Clock& clock,
                core::TimerQueue& timers,
                std::array<Line, kLanes> lines,
                Options options);
    ~Replication();

    // The beacon, for locks with keys of this prefix.
    static std::string key_for(const std::string& prefix);

    // A lane's connection leads to this server; nullptr: it is down.
    void on_line(std::size_t lane, const redis::ServerInfo* server);

    // `done` is called once, never from within: how many replicas have all that the primary of this
    // incarnation had answered by now. As soon as so many have, or after twice the timeout at most.
    void await(std::size_t replicas, std::string incarnation, Done done);
    core::Milliseconds timeout() const { return options_.timeout; }

    struct Counters {
        std::uint64_t waits = 0;    // WAITs sent
        std::uint64_t asked = 0;    // writes that were waited for
        std::uint64_t too_few = 0;  // of those, without enough acknowledgements
        core::Duration waited{};    // by WAITs, all together

        Counters& operator+=(const Counters& other);
    };
    const Counters& counters() const { return counters_; }

private:
    struct Entry {
        std::size_t replicas;
        std::string incarnation;
        core::Instant until;  // it does not wait for the lane longer
        Done done;
    };
    struct Lane;

    void go_on(Lane& lane);
    void send(Lane& lane);
    struct Sending;
    void on_answer(Lane& lane, const Sending& sending, const Acks& acks);
    void on_patience_over(Lane& lane);
    void finish(std::vector<Entry> entries, const std::string& incarnation, const Acks& acks);

    const core::Clock& clock_;
    Options options_;
    std::string beacon_;  // the script
    std::array<std::unique_ptr<Lane>, kLanes> lanes_;
    Counters counters_;
};

}  // namespace holdfast::store
