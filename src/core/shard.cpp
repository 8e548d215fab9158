#include "core/shard.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace holdfast::core {
namespace {

// Handlers per turn before timers are looked at again: some hundred microseconds of work.
constexpr int kMaxHandlersPerTurn = 64;

int open_timer() {
    const int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "timerfd_create");
    }
    return fd;
}

}  // namespace

Shard::Shard(const Clock& clock) : clock_(clock), timer_(context_, open_timer()) {}

Shard::~Shard() {
    stop();
}

void Shard::start(LockManager& manager) {
    manager_ = &manager;
    wait_for_timer();
    thread_ = std::thread{[this] { run(); }};
}

void Shard::stop() {
    stopping_ = true;
    context_.stop();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Shard::post(Task task) {
    bool was_empty = false;
    {
        const std::lock_guard lock{mutex_};
        was_empty = inbox_.empty();
        inbox_.push_back(std::move(task));
    }
    if (was_empty) {
        wake();
    }
}

void Shard::post_all(std::vector<Task>& tasks) {
    bool was_empty = false;
    {
        const std::lock_guard lock{mutex_};
        was_empty = inbox_.empty();
        inbox_.insert(inbox_.end(),
                      std::make_move_iterator(tasks.begin()),
                      std::make_move_iterator(tasks.end()));
    }
    if (was_empty && !tasks.empty()) {
        wake();
    }
    tasks.clear();
}

void Shard::wake() {
    boost::asio::post(context_, [this] { drain_inbox(); });
}

void Shard::run() {
    auto work = boost::asio::make_work_guard(context_);
    while (!stopping_) {
        arm();
        context_.run_one();
        for (int handled = 1; handled < kMaxHandlersPerTurn && context_.poll_one() > 0; ++handled) {
        }
    }
}

void Shard::drain_inbox() {
    {
        const std::lock_guard lock{mutex_};
        batch_.swap(inbox_);
    }
    for (Task& task : batch_) {
        task(*manager_);
    }
    batch_.clear();
}

void Shard::arm() {
    const Instant next = timers_.next();
    if (next >= armed_) {
        return;
    }
    armed_ = next;
    // 0 would disarm the timer; the first nanosecond after boot is as good as now.
    const Duration at = std::max(next.time_since_epoch(), Duration{1});
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = (at - seconds).count();
    timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Shard::wait_for_timer() {
    timer_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](auto error) {
        if (error) {
            return;  // the shard is being destroyed
        }
        std::uint64_t expirations = 0;
        while (read(timer_.native_handle(), &expirations, sizeof(expirations)) < 0 &&
               errno == EINTR) {
        }
        armed_ = kNever;
        timers_.fire(clock_.now());
        wait_for_timer();
    });
}

}  // namespace holdfast::core
