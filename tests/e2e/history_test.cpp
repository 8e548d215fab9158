// The checks of histories find what is wrong: each is given one made-up history that it must accept,
// and one for each way to be wrong.

#include "history.hpp"

#include <gtest/gtest.h>

namespace holdfast::e2e {
namespace {

using namespace std::chrono_literals;
using Time = Hold::Time;

Time at(int ms) {
    return Time{} + std::chrono::milliseconds{ms};
}

Hold hold(std::uint64_t token, int asked, int granted, int ended) {
    return {"a", token, at(asked), at(granted), at(ended)};
}

Hold shared(std::uint64_t token, int asked, int granted, int ended) {
    Hold one = hold(token, asked, granted, ended);
    one.mode = v1::MODE_SHARED;
    return one;
}

Hold permits(unsigned count, std::uint64_t token, int asked, int granted, int ended) {
    Hold one = hold(token, asked, granted, ended);
    one.mode = v1::MODE_PERMIT;
    one.permits = count;
    one.limit = 3;
    return one;
}

template <class... Holds>
std::size_t problems(Holds... holds) {
    History history;
    (history.add(holds), ...);
    return history.problems().size();
}

TEST(History, FindsOverlapsOfExclusiveLocks) {
    EXPECT_EQ(problems(hold(1, 0, 1, 5), hold(2, 0, 5, 9)), 0U);
    EXPECT_EQ(problems(hold(1, 0, 1, 5), Hold{"b", 1, at(0), at(2), at(3)}), 0U);
    EXPECT_EQ(problems(hold(1, 0, 1, 5), hold(2, 0, 4, 9)), 1U);
    EXPECT_EQ(problems(hold(1, 0, 1, 9), hold(2, 0, 4, 5), hold(3, 0, 6, 7)), 2U);
    EXPECT_EQ(problems(hold(1, 0, 1, 5), hold(2, 0, 4, 4)), 0U) << "it was over when it was told";
}

TEST(History, KnowsThatNoModeMeansExclusive) {
    Hold one = hold(1, 0, 1, 5);
    one.mode = v1::MODE_UNSPECIFIED;
    EXPECT_TRUE(one.excludes(one));
    EXPECT_TRUE(one.excludes(hold(1, 0, 1, 5)));
    EXPECT_FALSE(shared(1, 0, 1, 5).excludes(shared(2, 0, 1, 5)));
    EXPECT_TRUE(shared(1, 0, 1, 5).excludes(permits(1, 2, 0, 1, 5)));
}

TEST(History, FindsOverlapsOfSharedLocks) {
    EXPECT_EQ(problems(shared(1, 0, 1, 5), shared(2, 0, 2, 9), hold(3, 0, 9, 10)), 0U);
    EXPECT_EQ(problems(shared(1, 0, 1, 5), shared(2, 0, 2, 9), hold(3, 0, 8, 10)), 1U);
    EXPECT_EQ(problems(hold(1, 0, 1, 5), shared(2, 0, 4, 9)), 1U);
}

TEST(History, FindsTooManyPermits) {
    EXPECT_EQ(problems(permits(2, 1, 0, 1, 5), permits(1, 2, 0, 2, 9), permits(2, 3, 0, 5, 9)), 0U);
    EXPECT_EQ(problems(permits(2, 1, 0, 1, 5), permits(1, 2, 0, 2, 9), permits(1, 3, 0, 4, 9)), 1U);
    EXPECT_EQ(problems(permits(1, 1, 0, 1, 5), shared(2, 0, 2, 9)), 1U);
}

TEST(History, FindsTokensThatDoNotGrow) {
    EXPECT_EQ(problems(hold(1, 0, 1, 2), hold(1, 0, 3, 4)), 1U);
    EXPECT_EQ(problems(hold(2, 0, 1, 2), hold(1, 3, 4, 5)), 1U);
    EXPECT_EQ(problems(shared(2, 0, 1, 9), shared(1, 3, 4, 9)), 1U);
    EXPECT_EQ(problems(shared(2, 0, 1, 9), shared(1, 0, 4, 9)), 0U) << "asked at the same time";
}

TEST(History, FindsBrokenPromises) {
    const auto problems = [](int denied, std::uint64_t token_later) {
        Hold one = hold(7, 0, 1, 5);
        one.told = at(10);
        one.denied = at(denied);
        one.token_later = token_later;
        History history;
        history.add(one);
        return history.broken_promises().size();
    };
    EXPECT_EQ(problems(11, 7), 0U);
    EXPECT_EQ(problems(9, 0), 1U);
    EXPECT_EQ(problems(11, 8), 1U);
}

TEST(History, FindsLossesThatAreToldTooLate) {
    const auto problems = [](std::optional<Time> lost, int next_granted) {
        Hold one = hold(1, 0, 1, 10);
        one.told = at(10);
        one.listens = true;
        one.lost = lost;
        History history;
        history.add(one);
        history.add(hold(2, 0, next_granted, 99));
        return history.late_losses(5ms).size();
    };
    EXPECT_EQ(problems(at(14), 15), 0U);
    EXPECT_EQ(problems(at(16), 17), 1U) << "late";
    EXPECT_EQ(problems(at(14), 13), 1U) << "after the next grant";
    EXPECT_EQ(problems(std::nullopt, 15), 1U) << "never";
}

TEST(History, FindsAnswersThatComeTooLate) {
    const auto problems = [](int answered, bool paused) {
        History history;
        history.add(Wait{"a", 1, at(0), at(100), at(answered)});
        history.add(Pause{paused ? 1 : 0, at(50), at(200)});
        return history.late_answers(10ms).size();
    };
    EXPECT_EQ(problems(110, false), 0U);
    EXPECT_EQ(problems(111, false), 1U);
    EXPECT_EQ(problems(210, true), 0U);
    EXPECT_EQ(problems(211, true), 1U);
}

TEST(History, FindsLocksThatNobodyIsGiven) {
    const auto problems = [](int next_granted, int waits_from, int waits_to) {
        Hold one = hold(1, 0, 1, 10);
        one.freed = at(10);
        History history;
        history.add(one);
        history.add(hold(2, 0, next_granted, 99));
        history.add(Wait{"a", 0, at(waits_from), at(99), at(waits_to)});
        return history.idle_locks(10ms).size();
    };
    EXPECT_EQ(problems(20, 0, 99), 0U);
    EXPECT_EQ(problems(21, 0, 21), 1U);
    EXPECT_EQ(problems(40, 35, 40), 0U) << "nobody waited before";
    EXPECT_EQ(problems(40, 0, 15), 0U) << "who waited had left";
}

TEST(History, FindsWhoOvertookOthers) {
    const auto problems = [](std::uint64_t token, int asked) {
        Hold first = hold(5, 0, 50, 51);
        first.queued = at(2);
        History history;
        history.add(first);
        history.add(hold(token, asked, 60, 61));
        return history.overtakings(10ms).size();
    };
    EXPECT_EQ(problems(6, 20), 0U);
    EXPECT_EQ(problems(4, 20), 1U);
    EXPECT_EQ(problems(4, 12), 0U) << "within the tolerance";
}

}  // namespace
}  // namespace holdfast::e2e
