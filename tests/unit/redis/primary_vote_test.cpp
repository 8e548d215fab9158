#include "redis/primary_vote.hpp"

#include <gtest/gtest.h>

namespace holdfast::redis {
namespace {

const Address kA{"10.0.0.1", 6379};
const Address kB{"10.0.0.2", 6379};
const Address kC{"10.0.0.3", 6379};

// Three Sentinels that all say A, which is reached.
class AVote : public testing::Test {
protected:
    AVote() {
        for (std::size_t seat = 0; seat < 3; ++seat) {
            vote_.says(seat, kA);
        }
        vote_.reached(kA);
    }
    // Its connection has broken and come up again.
    bool returns(std::size_t seat, const Address& says) {
        vote_.is_silent(seat);
        vote_.is_new(seat);
        return vote_.says(seat, says);
    }

    PrimaryVote vote_{3};
};

TEST(PrimaryVote, IsKnownWhenMostOfAllSayTheSame) {
    PrimaryVote vote{3};
    EXPECT_FALSE(vote.says(1, kA));
    EXPECT_FALSE(vote.primary());
    EXPECT_TRUE(vote.says(2, kA));
    EXPECT_EQ(vote.primary(), kA);
}

TEST(PrimaryVote, IsWhatMostOfThoseSayThatAnswerOnceAllAreTried) {
    PrimaryVote vote{3};
    EXPECT_FALSE(vote.is_silent(0));
    EXPECT_FALSE(vote.is_silent(1));
    EXPECT_TRUE(vote.says(2, kA));
    EXPECT_EQ(vote.primary(), kA);
}

TEST(PrimaryVote, AStaleAnswerDoesNotOutvoteTheOthers) {
    PrimaryVote vote{3};
    vote.says(0, kA);  // cut off from the others
    vote.says(1, kB);
    EXPECT_TRUE(vote.says(2, kB));
    EXPECT_EQ(vote.primary(), kB);
}

TEST(PrimaryVote, OfEqualsTheFirstInTheListWins) {
    PrimaryVote vote{2};
    vote.says(1, kB);
    EXPECT_TRUE(vote.says(0, kA));
    EXPECT_EQ(vote.primary(), kA);
}

TEST_F(AVote, OneThatMovesMovesThePrimary) {
    EXPECT_TRUE(vote_.says(1, kB));
    EXPECT_EQ(vote_.primary(), kB);
}

TEST_F(AVote, TheOthersThatHaveNotHeardYetDoNotMoveItBack) {
    vote_.says(1, kB);
    EXPECT_FALSE(vote_.says(0, kA));
    EXPECT_FALSE(vote_.failed(kB));
    EXPECT_FALSE(vote_.says(2, kA));
    EXPECT_EQ(vote_.primary(), kB);
    EXPECT_FALSE(vote_.says(0, kB));
}

TEST_F(AVote, ASecondMoveBackIsFollowed) {
    vote_.says(1, kB);
    vote_.says(0, kB);
    EXPECT_TRUE(vote_.says(1, kA));
    EXPECT_EQ(vote_.primary(), kA);
}

TEST_F(AVote, OneThatComesBackWithAnotherAnswerMovesNobody) {
    EXPECT_FALSE(returns(1, kB));
    EXPECT_EQ(vote_.primary(), kA);
}

TEST_F(AVote, OneThatComesBackMayMoveItOnlyIfThePrimaryFails) {
    vote_.is_silent(0);
    vote_.is_silent(2);
    EXPECT_FALSE(returns(1, kB));
    EXPECT_TRUE(vote_.failed(kA));
    EXPECT_EQ(vote_.primary(), kB);
}

TEST_F(AVote, MostOfAllMoveItThoughItIsReached) {
    EXPECT_FALSE(returns(1, kB));
    EXPECT_TRUE(returns(2, kB));
    EXPECT_EQ(vote_.primary(), kB);
}

TEST_F(AVote, WhatASwitchHasLeftIsNotGoneBackToUntilTheSentinelsAgree) {
    vote_.says(0, kB);
    vote_.says(1, kB);
    vote_.says(2, kB);
    vote_.is_silent(0);
    EXPECT_FALSE(returns(1, kA));
    EXPECT_FALSE(vote_.failed(kB));
    EXPECT_EQ(vote_.primary(), kB);
    EXPECT_TRUE(returns(2, kA)) << "most, and nobody says otherwise";
    EXPECT_EQ(vote_.primary(), kA);
}

TEST_F(AVote, AllSilentStays) {
    for (std::size_t seat = 0; seat < 3; ++seat) {
        EXPECT_FALSE(vote_.is_silent(seat));
    }
    EXPECT_FALSE(vote_.failed(kA));
    EXPECT_EQ(vote_.primary(), kA);
}

TEST_F(AVote, OneThatCatchesUpStepByStepDoesNotMoveItBack) {
    vote_.says(0, kB);
    vote_.says(0, kC);
    EXPECT_FALSE(vote_.says(1, kB));
    EXPECT_EQ(vote_.primary(), kC);
    EXPECT_FALSE(vote_.says(1, kC));
}

}  // namespace
}  // namespace holdfast::redis
