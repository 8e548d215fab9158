#include "rpc/gathered.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::rpc {
namespace {

using namespace std::chrono_literals;
using core::PeerAnswer;
using core::PeerAnswers;
using testing::ElementsAre;

core::WaiterReport waiter(const std::string& owner, std::int64_t arrival) {
    return {owner, core::Mode::exclusive, 0, 1ms, arrival};
}

std::vector<std::string> owners(const pb::ExplainResponse& response) {
    std::vector<std::string> found;
    for (const auto& one : response.waiters()) {
        found.push_back(one.owner());
    }
    return found;
}

TEST(Gathered, WaitersStandInTheOrderOfTheStoreAndOfTheirStation) {
    PeerAnswers gathered;
    gathered.answers = {
        {"s1", "one", {{waiter("c", 30), waiter("e", 40), waiter("f", 40)}, {}, {}}},
        {"s2", "two", {{waiter("upgrade", 0), waiter("d", 30)}, {}, {}}}};
    pb::ExplainResponse response;
    fill(response, gathered);
    EXPECT_THAT(owners(response), ElementsAre("upgrade", "c", "d", "e", "f"));
    EXPECT_EQ(response.waiters(2).position(), 3U);
    EXPECT_EQ(response.waiters(2).daemon(), "two");
    EXPECT_FALSE(response.cut());
}

TEST(Gathered, NobodyIsShownBehindThoseWhoAreNotKnown) {
    PeerAnswer full;
    for (std::size_t i = 0; i < PeerAnswer::kMostWaiters; ++i) {
        full.waiters.push_back(waiter("many", static_cast<std::int64_t>(100 + i)));
    }
    full.cut = true;
    PeerAnswers gathered;
    gathered.answers = {
        {"s1", "one", full},
        {"s2", "two", {{waiter("before", 1), waiter("behind", 1'000'000)}, {}, {}}}};
    pb::ExplainResponse response;
    fill(response, gathered);
    EXPECT_TRUE(response.cut());
    ASSERT_EQ(response.waiters_size(), static_cast<int>(PeerAnswer::kMostWaiters) + 1);
    EXPECT_EQ(response.waiters(0).owner(), "before");
    EXPECT_EQ(owners(response).back(), "many");
}

TEST(Gathered, AReleaseElsewhereGetsTheOwnerOfItsGrant) {
    PeerAnswers gathered;
    gathered.answers = {{"s1", "one", {{}, {{50ms, "granted", "me", {7}}}, {}}},
                        {"s2", "two", {{}, {{5ms, "released", "", {7}}}, {}}}};
    gathered.silent = {"three"};
    pb::ExplainResponse response;
    fill(response, gathered);
    ASSERT_EQ(response.transitions_size(), 2);
    EXPECT_EQ(response.transitions(0).what(), "released");
    EXPECT_EQ(response.transitions(0).owner(), "me");
    EXPECT_EQ(response.transitions(0).daemon(), "two");
    EXPECT_THAT(response.silent_daemons(), ElementsAre("three"));
}

}  // namespace
}  // namespace holdfast::rpc
