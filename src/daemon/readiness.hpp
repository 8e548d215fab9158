#pragma once

// Is the daemon ready? When the store answers every shard and remembers what it should, and the daemon
// does not drain. Shards report from their threads; changes go to one listener, one at a time and in
// order.

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
        closed,         // calls are served, but nothing is granted for a while
        down,           // the store does not answer, or the daemon drains
        misconfigured,  // it will not get better by itself
    };
    Level level = Level::ready;
    std::string why;

    bool serves() const { return level <= Level::closed; }
    bool operator==(const Condition&) const = default;
};

class Readiness {
public:
    using Listener = std::function<void(const Condition& now)>;

    // Not ready at first.
    Readiness(std::size_t shards, Listener listener);

    void report(std::size_t shard, Condition found);
    void drain();

    // The condition when it is other than down, or after the time.
    Condition wait(std::chrono::milliseconds most);
    // The worst of all shards'.
    Condition now() const;

private:
    Condition worst() const;
    void update();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Listener listener_;
    std::vector<Condition> found_;
    bool draining_ = false;
    Condition now_;
};

}  // namespace holdfast::daemon
