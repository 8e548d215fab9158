#include "core/peer_gathering.hpp"

#include "support/manual_clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class PeerGatheringTest : public testing::Test {
protected:
    test::ManualClock clock_;
    TimerQueue timers_;
    PeerGathering gathering_{clock_, timers_};
    std::optional<PeerAnswers> gathered_;

    void open(const std::string& id = "q") {
        ASSERT_TRUE(gathering_.open(id, [this](PeerAnswers answers) {
            EXPECT_FALSE(gathered_) << "finished twice";
            gathered_ = std::move(answers);
        }));
    }
    void pass(Duration time) {
        clock_.advance(time);
        timers_.fire(clock_.now());
    }
    static PeerAnswer answer(const std::string& owner) {
        PeerAnswer answer;
        answer.waiters.push_back({owner});
        return answer;
    }
    std::vector<std::string> heard() const {
        std::vector<std::string> found;
        for (const auto& one : gathered_->answers) {
            found.push_back(one.station + "@" + one.daemon + " " + one.answer.waiters[0].owner);
        }
        return found;
    }
};

TEST_F(PeerGatheringTest, IsDoneWhenAllHaveAnswered) {
    open();
    gathering_.expect("q", {{"s1", "one"}, {"s2", "two"}});
    gathering_.answered("q", "s2", answer("b"));
    EXPECT_FALSE(gathered_);
    gathering_.answered("q", "s1", answer("a"));
    ASSERT_TRUE(gathered_);
    EXPECT_THAT(heard(), ElementsAre("s1@one a", "s2@two b"));
    EXPECT_THAT(gathered_->silent, IsEmpty());
    EXPECT_EQ(gathering_.size(), 0U);
    pass(1s);  // nothing more comes
}

TEST_F(PeerGatheringTest, KeepsAnswersThatComeBeforeItIsKnownWhoWasAsked) {
    open();
    gathering_.answered("q", "s1", answer("a"));
    gathering_.answered("q", "stranger", answer("x"));
    EXPECT_FALSE(gathered_);
    gathering_.expect("q", {{"s1", "one"}});
    ASSERT_TRUE(gathered_);
    EXPECT_THAT(heard(), ElementsAre("s1@one a"));
}

TEST_F(PeerGatheringTest, NamesTheSilentOnceEachAfter200Milliseconds) {
    open();
    gathering_.expect("q", {{"s1", "one"}, {"s2", "one"}, {"s3", "two"}, {"s4", "three"}});
    gathering_.answered("q", "s1", answer("a"));
    gathering_.answered("q", "s4", answer("d"));
    pass(199ms);
    EXPECT_FALSE(gathered_);
    pass(1ms);
    ASSERT_TRUE(gathered_);
    EXPECT_THAT(heard(), ElementsAre("s1@one a", "s4@three d"));
    EXPECT_THAT(gathered_->silent, ElementsAre("one", "two"));
    gathering_.answered("q", "s2", answer("late"));  // to nobody
}

TEST_F(PeerGatheringTest, DoesNotWaitForWhoDidNotHear) {
    open();
    gathering_.expect("q", {{"s1", "one", false}, {"s2", "two", true}});
    gathering_.answered("q", "s2", answer("b"));
    ASSERT_TRUE(gathered_);
    EXPECT_THAT(gathered_->silent, ElementsAre("one"));
}

TEST_F(PeerGatheringTest, AnAnswerOfOneWhoDidNotHearStandsForNobodyElse) {
    open();
    gathering_.expect("q", {{"s1", "one", false}, {"s2", "two", true}});
    gathering_.answered("q", "s1", answer("a"));
    EXPECT_FALSE(gathered_);
    gathering_.answered("q", "s2", answer("b"));
    ASSERT_TRUE(gathered_);
    EXPECT_THAT(gathered_->silent, IsEmpty());
}

TEST_F(PeerGatheringTest, TakesTheFirstAnswerOfEachAndNoneOfStrangers) {
    open();
    gathering_.expect("q", {{"s1", "one"}, {"s2", "two"}});
    gathering_.answered("q", "s1", answer("a"));
    gathering_.answered("q", "s1", answer("again"));
    gathering_.answered("q", "stranger", answer("x"));
    gathering_.answered("other", "s2", answer("x"));
    EXPECT_FALSE(gathered_);
    pass(200ms);
    EXPECT_THAT(heard(), ElementsAre("s1@one a"));
}

TEST_F(PeerGatheringTest, BoundsWhatIsOpen) {
    for (std::size_t i = 0; i < PeerGathering::kMostOpen; ++i) {
        ASSERT_TRUE(gathering_.open(std::to_string(i), [](const auto&) {}));
    }
    EXPECT_FALSE(gathering_.open("more", [](const auto&) {}));
    gathering_.abandon("0");
    EXPECT_TRUE(gathering_.open("more", [](const auto&) {}));
}

}  // namespace
}  // namespace holdfast::core
