#pragma once

// What clients did, as they saw it, and the checks on it (FAULTS.md section 4). All times are of one
// machine's one clock. Each check says what is wrong, a line each; nothing if nothing is.

#include "holdfast/v1/lock.pb.h"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::e2e {

// One grant. The client believed in it from the return of the acquire to the earliest of: the send
// of its release, the deadline it was told, the news that it is lost.
struct Hold {
    using Time = std::chrono::steady_clock::time_point;
    std::string name;
    std::uint64_t token = 0;
    Time asked;    // the acquire was sent
    Time granted;  // and returned
    Time ended;
    v1::Mode mode = v1::MODE_EXCLUSIVE;
    unsigned permits = 0;  // of `limit`, with MODE_PERMIT
    unsigned limit = 0;
    Time told = Time::max();          // the last deadline that it was told
    bool listens = false;             // on a stream, which it read to its end
    std::optional<Time> queued = {};  // it was told that it waits
    std::optional<Time> lost = {};    // it was told of its loss
    std::optional<Time> freed = {};   // its release returned
    std::optional<Time> denied = {};  // an answer said that the lease had ended already
    std::uint64_t token_later = 0;    // not 0: of the same lease, from another daemon

    bool exclusive() const;
    bool excludes(const Hold& other) const;
};

// One call that asked for a lock, however it ended.
struct Wait {
    using Time = Hold::Time;
    std::string name;
    int daemon = 0;
    Time asked;
    Time until;  // its wait_ms are over
    Time answered;
};

// A daemon stood still, and could answer nobody.
struct Pause {
    int daemon = 0;
    Hold::Time from;
    Hold::Time to;
};

class History {
public:
    using Problems = std::vector<std::string>;
    using Duration = std::chrono::milliseconds;

    void add(Hold hold);
    void add(Wait wait);
    void add(Pause pause);
    std::size_t size() const { return holds_.size(); }
    const std::vector<Hold>& holds() const { return holds_; }
    void copy_to(History& other) const;

    // C1 and C2.
    //   overlap   two holds that exclude each other at the same time, or more permits than there are
    //   repeated  one token twice for one lock
    //   order     a grant that was asked for after another had been granted has a lower token
    Problems problems() const;

    // P2, P6: a lease was denied before the deadline that its holder had been told, or has got
    // another token.
    Problems broken_promises() const;

    // C5, for those who listen: told of a loss more than `slack` after the deadline, never, or after
    // somebody else had been granted the lock.
    Problems late_losses(Duration slack) const;

    // C7: an answer that came more than `most` after the wait was over.
    Problems late_answers(Duration most) const;

    // C7, of exclusive locks: free for more than `most` while somebody waited for it.
    Problems idle_locks(Duration most) const;

    // C8, of exclusive locks: who came more than `tolerance` after another had been told that it
    // waits was granted the lock before.
    Problems overtakings(Duration tolerance) const;

private:
    std::mutex mutex_;  // of the adding
    std::vector<Hold> holds_;
    std::vector<Wait> waits_;
    std::vector<Pause> pauses_;
};

}  // namespace holdfast::e2e
