#pragma once

// Counts the calls that are open, so that the queues are shut down only when none is left to
// finish.

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace holdfast::rpc {

class Gate {
public:
    // False once the gate is closed: the call must not be begun.
    bool enter() {
        const std::lock_guard lock{mutex_};
        if (closed_) {
            return false;
        }
        ++inside_;
        return true;
    }

    void leave() {
        const std::lock_guard lock{mutex_};
        if (--inside_ == 0) {
            empty_.notify_all();
        }
    }

    // Waits until nobody is inside, and lets nobody in from then on.
    void close() {
        std::unique_lock lock{mutex_};
        empty_.wait(lock, [this] { return inside_ == 0; });
        closed_ = true;
    }

private:
    std::mutex mutex_;
    std::condition_variable empty_;
    std::size_t inside_ = 0;
    bool closed_ = false;
};

}  // namespace holdfast::rpc
