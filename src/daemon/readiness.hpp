#pragma once

// Is the daemon ready? When the store answers every shard, and it does not drain. Shards report
// from their threads; changes go to one listener, one at a time and in order.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::daemon {

class Readiness {
public:
    // `trouble` is empty when ready.
    using Listener = std::function<void(const std::string& trouble)>;

    // Not ready at first.
    Readiness(std::size_t shards, Listener listener);

    // `trouble` is empty if the store answers this shard.
    void report(std::size_t shard, std::string trouble);
    void drain();

    // True if it becomes ready within the time.
    bool wait_ready(std::chrono::milliseconds most);
    std::string trouble() const;

private:
    std::string find_trouble() const;
    void update();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Listener listener_;
    std::vector<std::string> troubles_;
    bool draining_ = false;
    std::string trouble_;
};

}  // namespace holdfast::daemon
