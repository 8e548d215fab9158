#pragma once

// What clients did, as they saw it, and the checks on it (FAULTS.md section 4, C1 and C2). All
// times are of one machine's one clock.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::e2e {

// One grant. The client believed in it from the return of the acquire to the earliest of: the send
// of its release, the deadline it was told.
struct Hold {
    using Time = std::chrono::steady_clock::time_point;
    std::string name;
    std::uint64_t token = 0;
    Time asked;    // the acquire was sent
    Time granted;  // and returned
    Time ended;
};

class History {
public:
    void add(Hold hold) {
        const std::lock_guard lock{mutex_};
        holds_.push_back(std::move(hold));
    }
    std::size_t size() const { return holds_.size(); }
    void copy_to(History& other) const {
        for (const Hold& hold : holds_) {
            other.add(hold);
        }
    }

    // What is wrong, a line each; empty if nothing is.
    //   overlap   two holds of one lock at the same time
    //   repeated  one token twice for one lock
    //   order     a grant that was asked for after another had been granted has a lower token
    std::vector<std::string> problems() const;

private:
    std::mutex mutex_;
    std::vector<Hold> holds_;
};

}  // namespace holdfast::e2e
