#include "store/replication.hpp"

#include "support/acknowledging_client.hpp"
#include "support/manual_clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr char kRun[] = "run1:zeros:-1";
constexpr char kPromoted[] = "run1:before:70";

class ReplicationTest : public testing::Test {
protected:
    ReplicationTest() { usual_up(); }

    void usual_up(const std::string& incarnation = kRun) { line_up(0, incarnation); }
    void line_up(std::size_t lane, const std::string& incarnation = kRun) {
        const redis::ServerInfo server{incarnation, true};
        replication_.on_line(lane, &server);
    }
    void await(std::size_t replicas, const std::string& incarnation = kRun) {
        replication_.await(replicas, incarnation, [this](const Replication::Acks& acks) {
            counts_.push_back(acks.count);
            why_ = acks.why;
        });
    }
    void pass(core::Duration time) {
        clock_.advance(time);
        timers_.fire(clock_.now());
    }

    test::ManualClock clock_;
    core::TimerQueue timers_;
    test::AcknowledgingClient usual_;
    test::AcknowledgingClient more_;
    int started_[2] = {0, 0};
    Replication replication_{
        clock_,
        timers_,
        {{{usual_, [this] { ++started_[0]; }}, {more_, [this] { ++started_[1]; }}}},
        {"beacon", 1, 250ms}};
    std::vector<std::size_t> counts_;
    std::string why_;
};

TEST_F(ReplicationTest, ABeaconIsWrittenAndWaitedFor) {
    await(1);
    EXPECT_THAT(counts_, IsEmpty());
    const std::string beacon = usual_.answer(":1\r\n");
    EXPECT_THAT(beacon, HasSubstr("EVAL"));
    EXPECT_THAT(beacon, HasSubstr("$6\r\nbeacon\r\n$8\r\nzeros:-1\r\n"));
    EXPECT_EQ(usual_.answer(":1\r\n"), "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$3\r\n250\r\n");
    EXPECT_THAT(counts_, ElementsAre(1U));
    EXPECT_EQ(why_, "");
}

TEST_F(ReplicationTest, WhatComesMeanwhileGoesTogetherWithTheNext) {
    await(1);
    await(1);
    await(1);
    EXPECT_EQ(usual_.pending(), 2U);
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(1U)) << "the others came behind the beacon";
    EXPECT_EQ(usual_.pending(), 2U);
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(1U, 1U, 1U));
    EXPECT_EQ(replication_.counters().waits, 2U);
    EXPECT_EQ(replication_.counters().asked, 3U);
    EXPECT_EQ(replication_.counters().too_few, 0U);
}

TEST_F(ReplicationTest, OneWaitServesAllThatAskForLessAndTellsEachTheCount) {
    line_up(1);
    await(2);
    await(3);
    await(2);
    EXPECT_THAT(more_.acknowledge(2), HasSubstr("$1\r\n2\r\n"));
    EXPECT_THAT(more_.acknowledge(2), HasSubstr("$1\r\n3\r\n"));
    EXPECT_THAT(counts_, ElementsAre(2U, 2U, 2U));
    EXPECT_EQ(replication_.counters().too_few, 1U);
}

TEST_F(ReplicationTest, WhoAsksForMoreDoesNotHoldUpTheUsual) {
    line_up(1);
    await(2);
    await(1);
    EXPECT_EQ(started_[0], 1);
    EXPECT_EQ(started_[1], 1);
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(1U));
}

TEST_F(ReplicationTest, APrimaryThatHasChangedBehindTheConnectionCountsForNothing) {
    await(1);
    usual_.answer(":0\r\n");
    usual_.answer(":1\r\n");
    EXPECT_THAT(counts_, ElementsAre(0U));
    EXPECT_THAT(why_, HasSubstr("the primary has changed"));
}

TEST_F(ReplicationTest, AcknowledgementsOfAnotherPrimaryCountForNothing) {
    usual_up(kPromoted);
    await(1, kRun);
    await(1, kPromoted);
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(0U));
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(0U, 1U));
}

TEST_F(ReplicationTest, AFailureOfEitherCommandIsNoAcknowledgement) {
    await(1);
    usual_.answer("-OOM command not allowed\r\n");
    usual_.answer(":1\r\n");
    EXPECT_THAT(why_, HasSubstr("OOM"));
    await(1);
    usual_.answer(":1\r\n");
    usual_.answer("-UNBLOCKED force unblock from blocking operation\r\n");
    EXPECT_THAT(why_, HasSubstr("UNBLOCKED"));
    await(1);
    replication_.on_line(0, nullptr);
    usual_.fail(redis::Failure::unknown_disconnected);
    usual_.fail(redis::Failure::unknown_disconnected);
    EXPECT_THAT(why_, HasSubstr("connection"));
    EXPECT_THAT(counts_, ElementsAre(0U, 0U, 0U));
    EXPECT_EQ(replication_.counters().too_few, 3U);
}

TEST_F(ReplicationTest, WithoutAConnectionItWaitsForOneButNotLongerThanForReplicas) {
    replication_.on_line(0, nullptr);
    await(1);
    pass(200ms);
    await(1);
    pass(50ms);
    EXPECT_THAT(counts_, ElementsAre(0U));
    EXPECT_THAT(why_, HasSubstr("no connection"));
    usual_up();
    usual_.acknowledge(1);
    EXPECT_THAT(counts_, ElementsAre(0U, 1U));
    pass(10s);
    EXPECT_EQ(counts_.size(), 2U);
}

}  // namespace
}  // namespace holdfast::store
