#include "rpc/outbox.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace holdfast::rpc {
namespace {

using namespace std::chrono_literals;

struct Answer final : Outgoing {
    explicit Answer(int& sent) : count(sent) {}
    void send() override { ++count; }
    int& count;
};

class OutboxTest : public testing::Test {
protected:
    ~OutboxTest() override {
        queue_.Shutdown();
        EXPECT_EQ(tags_until(gpr_inf_future(GPR_CLOCK_REALTIME)), 0);
    }

    // As a shard does.
    void push(int answers) {
        std::thread{[&] {
            for (int i = 0; i < answers; ++i) {
                outbox_.push(std::make_shared<Answer>(sent_));
            }
        }}.join();
    }

    int tags_until(gpr_timespec deadline) {
        int tags = 0;
        void* tag = nullptr;
        for (bool ok = false; queue_.AsyncNext(&tag, &ok, deadline) ==
                              grpc::CompletionQueue::NextStatus::GOT_EVENT;) {
            static_cast<Tag*>(tag)->returned(ok);
            ++tags;
        }
        return tags;
    }
    int tags() { return tags_until(gpr_inf_past(GPR_CLOCK_MONOTONIC)); }

    static constexpr int kMany = 1000;

    grpc::CompletionQueue queue_;
    Outbox outbox_{queue_};
    int sent_ = 0;
};

TEST_F(OutboxTest, ALoneAnswerIsSentAtOnceWhileTheQueueSleeps) {
    push(1);
    EXPECT_EQ(sent_, 1);
    EXPECT_EQ(tags(), 0);
}

TEST_F(OutboxTest, ManyAnswersWakeTheSleepingQueueOnceAndAreSentThere) {
    push(kMany);
    EXPECT_LT(sent_, kMany);
    push(kMany);
    EXPECT_EQ(tags(), 1);
    outbox_.wake();
    outbox_.send_all();
    EXPECT_EQ(sent_, 2 * kMany);
    EXPECT_TRUE(outbox_.rest());
    push(kMany);
    EXPECT_EQ(tags(), 1) << "the alarm is set anew";
    outbox_.send_all();
    EXPECT_EQ(sent_, 3 * kMany);
}

TEST_F(OutboxTest, AnswersWaitForAQueueThatWorksAndKeepItFromSleeping) {
    outbox_.wake();
    push(1);
    EXPECT_EQ(sent_, 0);
    EXPECT_FALSE(outbox_.rest());
    EXPECT_EQ(tags(), 0) << "nothing has to wake it";
    outbox_.send_all();
    EXPECT_EQ(sent_, 1);
    EXPECT_TRUE(outbox_.rest());
}

TEST_F(OutboxTest, OnTheQueuesOwnThreadAnswersAreSentAtOnce) {
    std::thread{[&] {
        outbox_.adopt_thread();
        outbox_.wake();
        for (int i = 0; i < kMany; ++i) {
            outbox_.push(std::make_shared<Answer>(sent_));
        }
    }}.join();
    EXPECT_EQ(sent_, kMany);
}

}  // namespace
}  // namespace holdfast::rpc
