#pragma once

// Answers on their way from the shards' threads to the thread of the queue on which they are sent.
//
// gRPC allows Finish() from any thread. But a connection's work is done by one thread at a time, and who
// comes second hands his over to a third, gRPC's own: with a shard that answers and a queue's thread that
// reads, that is most calls. So answers go to the queue's thread, which looks for them each time before it
// sleeps, and is woken once for all that have gathered.
//
// A lone answer has nobody to contend with, and is sent at once: another waking would only cost time.
//
//   awake    push() -> gathered. send_all() sends what has gathered
//            rest() -> asleep, unless something has gathered
//   asleep   push() -> asleep, sent on this thread, while there are few
//            push() -> asleep, gathered: an alarm is set that returns at once, unless one is out already
//            wake() -> awake
// The queue must not be shut down while an answer is on its way: the gate sees to that.

#include "rpc/tag.hpp"

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace holdfast::rpc {

class Outgoing {
public:
    virtual ~Outgoing() = default;
    // On the queue's thread, or that of push().
    virtual void send() = 0;
};

class Outbox final : public Tag {
public:
    explicit Outbox(grpc::CompletionQueue& queue) : queue_(queue) {}

    // To be called by the queue's thread before all else.
    void adopt_thread() { ours = this; }

    // From any thread; on the queue's own it is sent at once.
    void push(std::shared_ptr<Outgoing> answer) {
        if (ours == this) {
            answer->send();
            return;
        }
        {
            const std::lock_guard lock{mutex_};
            if (!is_quiet() || awake_) {
                gathered_.push_back(std::move(answer));
                if (!awake_ && !std::exchange(alarm_is_out_, true)) {
                    handed_to_grpc(this);
                    alarm_.Set(&queue_, gpr_time_0(GPR_CLOCK_REALTIME), static_cast<Tag*>(this));
                }
                return;
            }
        }
        answer->send();
    }

    // The rest is for the queue's thread.
    void send_all() {
        {
            const std::lock_guard lock{mutex_};
            sending_.swap(gathered_);
        }
        for (const auto& answer : sending_) {
            answer->send();
        }
        sending_.clear();
    }

    // Whether the thread may sleep.
    bool rest() {
        const std::lock_guard lock{mutex_};
        awake_ = !gathered_.empty();
        return !awake_;
    }
    void wake() {
        const std::lock_guard lock{mutex_};
        awake_ = true;
    }

    // The alarm's: what has gathered is sent before the thread sleeps again.
    void returned(bool /*ok*/) override {
        back_from_grpc(this);
        const std::lock_guard lock{mutex_};
        alarm_is_out_ = false;
    }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds kWindow{1};
    static constexpr int kFew = 24;  // in a window

    // Few answers in this window and in the one before: nobody to contend with.
    bool is_quiet() {
        const Clock::time_point now = Clock::now();
        if (now - window_began_ > kWindow) {
            in_window_before_ = now - window_began_ > 2 * kWindow ? 0 : in_window_;
            window_began_ = now;
            in_window_ = 0;
        }
        return ++in_window_ <= kFew && in_window_before_ <= kFew;
    }

    static inline thread_local const Outbox* ours = nullptr;

    grpc::CompletionQueue& queue_;
    grpc::Alarm alarm_;
    std::mutex mutex_;
    bool awake_ = false;  // guarded by mutex_, as what follows
    bool alarm_is_out_ = false;
    Clock::time_point window_began_;
    int in_window_ = 0;
    int in_window_before_ = 0;
    std::vector<std::shared_ptr<Outgoing>> gathered_;
    std::vector<std::shared_ptr<Outgoing>> sending_;  // the queue's thread's; keeps its memory
};

}  // namespace holdfast::rpc
