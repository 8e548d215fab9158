#pragma once

// Is the daemon ready? When the store answers every shard, remembers what it should and is fit to keep
// locks, and the daemon does not drain. Shards report from their threads; changes go to one listener, one at
// a time and in order.

#include "daemon/checks.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::daemon {

struct Condition {
    enum class Level {
        ready,
        closed,  // calls are served, but nothing is granted for a while
        unfit,   // nothing is granted before somebody changes the store; what is held goes on
        down,    // the store does not answer, or the daemon drains
        misconfigured,  // it will not get better by itself
    };
    Level level = Level::ready;
    std::string why;

    bool serves() const { return level <= Level::closed; }
    // Nothing must be granted, whatever the store would answer.
    bool forbids_grants() const { return level == Level::unfit || level == Level::misconfigured; }
    bool operator==(const Condition&) const = default;
};

class Readiness {
public:
    using Listener = std::function<void(const Condition& now)>;

    // Not ready at first: before each shard and the checks have been reported.
    Readiness(std::size_t shards, Listener listener);

    void report(std::size_t shard, Condition found);
    void report(std::vector<Check> found);
    void drain();

    // The condition when it is other than down, or after the time.
    Condition wait(std::chrono::milliseconds most);
    // The worst of all.
    Condition now() const;
    // Of all that are not ready, the worst first; none twice.
    std::vector<std::string> reasons() const;
    std::vector<std::string> warnings() const;
    // As they were reported last.
    std::vector<Check> checks() const;

private:
    std::vector<Condition> all() const;
    void update();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Listener listener_;
    std::vector<Condition> found_;
    bool checked_ = false;
    std::vector<Check> checks_;
    bool draining_ = false;
    Condition now_;
};

}  // namespace holdfast::daemon
