#include "core/flight_recorder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

LockName lock(const std::string& name) {
    return *LockName::parse(name);
}

std::string told(const std::vector<FlightRecorder::Transition>& transitions) {
    std::string text;
    for (const auto& one : transitions) {
        text += std::string{to_string(one.what)} + ' ' + std::to_string(one.token.value) + ' ' +
                one.owner + "; ";
    }
    return text;
}

TEST(FlightRecorder, TellsOfOneLockNewestFirst) {
    FlightRecorder recorder{8};
    recorder.record(Instant{1s}, Happening::granted, lock("a"), {1}, "me");
    recorder.record(Instant{2s}, Happening::granted, lock("b"), {2}, "you");
    recorder.record(Instant{3s}, Happening::cancelled, lock("a"), {}, "waiter");
    const auto found = recorder.of(lock("a"), 10);
    EXPECT_EQ(told(found), "cancelled 0 waiter; granted 1 me; ");
    EXPECT_EQ(found[1].at, Instant{1s});
    EXPECT_EQ(told(recorder.of(lock("none"), 10)), "");
}

TEST(FlightRecorder, FindsTheOwnerOfAReleaseInItsGrant) {
    FlightRecorder recorder{8};
    recorder.record(Instant{1s}, Happening::granted, lock("a"), {1}, "me");
    recorder.record(Instant{2s}, Happening::released, lock("a"), {1});
    recorder.record(Instant{3s}, Happening::expired, lock("a"), {7});  // granted elsewhere
    EXPECT_EQ(told(recorder.of(lock("a"), 10)), "expired 7 ; released 1 me; granted 1 me; ");
    EXPECT_EQ(told(recorder.of(lock("a"), 2)), "expired 7 ; released 1 me; ");
}

TEST(FlightRecorder, ForgetsTheOldestWhenItIsFull) {
    FlightRecorder recorder{3};
    for (std::uint64_t i = 1; i <= 10; ++i) {
        recorder.record(Instant{1s * i}, Happening::granted, lock("a"), {i}, std::to_string(i));
    }
    EXPECT_EQ(told(recorder.of(lock("a"), 10)), "granted 10 10; granted 9 9; granted 8 8; ");
    // A slot that was used for a longer text holds nothing of it.
    recorder.record(Instant{20s}, Happening::granted, lock("long name"), {11}, "long owner");
    recorder.record(Instant{21s}, Happening::granted, lock("b"), {12}, "b");
    recorder.record(Instant{22s}, Happening::granted, lock("b"), {13}, "b");
    recorder.record(Instant{23s}, Happening::granted, lock("b"), {14}, "");
    EXPECT_EQ(told(recorder.of(lock("b"), 10)), "granted 14 ; granted 13 b; granted 12 b; ");
    EXPECT_EQ(told(recorder.of(lock("long name"), 10)), "");
}

}  // namespace
}  // namespace holdfast::core
