#pragma once

// The port to the other daemons on the same store: what core and its callers may ask them, and what
// they say. A daemon has a station for each shard; every station is asked, the asker's own ones too,
// since a lock's waiters are in another shard at each daemon.
//
// An answer is somebody's word, not the store's: it is shown to people, and nothing is decided by it.

#include "core/lease_id.hpp"
#include "core/lock_store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::core {

struct PeerQuestion {
    enum class Kind { explain, streams };
    Kind kind = Kind::explain;
    std::string subject;  // explain: the lock's name
};

struct WaiterReport {
    std::string owner;
    Mode mode = Mode::exclusive;
    int priority = 0;
    Milliseconds waiting_for{0};
    std::int64_t arrival_us = 0;  // less the priority, in the store's time: the order of service
};

struct TransitionReport {
    Milliseconds ago{0};
    std::string what;
    std::string owner;
    FencingToken token;
};

struct StreamReport {
    std::string peer;
    Milliseconds connected_for{0};
    std::uint64_t leases = 0;
    std::uint64_t waiting = 0;
};

// What one station says.
struct PeerAnswer {
    static constexpr std::size_t kMostWaiters = 300;
    static constexpr std::size_t kMostTransitions = 100;
    static constexpr std::size_t kMostStreams = 1000;

    std::vector<WaiterReport> waiters;          // in the order of their turns
    std::vector<TransitionReport> transitions;  // newest first
    std::vector<StreamReport> streams;
    bool cut = false;  // there is more than these bounds allow
};

// What came together. Both lists are in the order of the stations' ids and of names.
struct PeerAnswers {
    struct One {
        std::string station;
        std::string daemon;
        PeerAnswer answer;
    };
    std::vector<One> answers;
    std::vector<std::string> silent;  // daemons of which a station did not answer in time
};

class Peers {
public:
    virtual ~Peers() = default;

    // Asks every live station. `done` is called once: when all have answered, or after 200 ms; with an
    // error if the store does not say who is there.
    virtual void ask(PeerQuestion question, StoreDone<PeerAnswers> done) = 0;
};

}  // namespace holdfast::core
