#pragma once

// A shard: one thread with its own event loop and timers. A lock's state lives in the shard that
// its name hashes to and is touched by that thread alone, so there is no lock on the state.
//
// Other threads reach it by post(): tasks gather in an inbox, and the loop is woken once per batch.
// Timers run on CLOCK_BOOTTIME by a timerfd, armed again only when something earlier turns up.
// (Asio's own timers run on CLOCK_MONOTONIC, which stands still while the machine is suspended.)

#include "core/clock.hpp"
#include "core/timers.hpp"

#include <absl/functional/any_invocable.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::core {

class LockManager;

class Shard {
public:
    using Task = absl::AnyInvocable<void(LockManager&)>;

    // Throws std::system_error if the system gives no timer.
    explicit Shard(const Clock& clock);
    ~Shard();  // stops the thread if it runs

    // Before start(): what the shard's parts are built on.
    boost::asio::io_context& context() { return context_; }
    TimerQueue& timers() { return timers_; }

    void start(LockManager& manager);
    // Ends the loop after the task it is in and joins the thread. Posted tasks that did not run yet
    // are dropped. Not from the shard's own thread.
    void stop();

    // From any thread. Tasks run in the order they were posted.
    void post(Task task);
    // Posts all of them at once, and leaves none behind.
    void post_all(std::vector<Task>& tasks);

private:
    void run();
    void wake();
    void drain_inbox();
    void arm();
    void wait_for_timer();

    const Clock& clock_;
    boost::asio::io_context context_{1};
    TimerQueue timers_;
    boost::asio::posix::stream_descriptor timer_;
    Instant armed_ = kNever;
    LockManager* manager_ = nullptr;
    std::mutex mutex_;
    std::vector<Task> inbox_;  // guarded by mutex_
    std::vector<Task> batch_;  // what the loop is working on
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace holdfast::core
