#include "store/quorum_votes.hpp"

#include "store/quorum_echoes.hpp"

#include <gtest/gtest.h>

namespace holdfast::store {
namespace {

using Kind = Vote::Kind;
using Verdict = Votes::Verdict;
using Written = Votes::Written;

Vote accepted(std::uint64_t proposal) {
    return {.kind = Kind::accepted, .fence = proposal, .token = proposal};
}
Vote locked(std::uint64_t fence, std::uint64_t token = 0) {
    return {.kind = Kind::locked, .fence = fence, .token = token};
}
Vote refused(const std::string& by, std::int64_t left_us = 1000) {
    return {.kind = Kind::refused, .fence = 50, .token = 50, .left_us = left_us, .holder = by};
}
Vote no(Kind kind) {
    return {.kind = kind};
}

class VotesTest : public testing::Test {
protected:
    Verdict after(std::vector<Vote> votes) {
        for (std::size_t node = 0; node < votes.size(); ++node) {
            votes_.cast(node, votes[node]);
        }
        return votes_.verdict();
    }
    Votes votes_{{3, 2}, 100, false};
};

TEST_F(VotesTest, TwoAcceptsOfThreeAreAGrantWhateverTheThirdSays) {
    EXPECT_EQ(after({accepted(100)}), Verdict::open);
    EXPECT_EQ(after({accepted(100), accepted(100)}), Verdict::granted);
    EXPECT_EQ(votes_.granted_token(), 100U);
    EXPECT_EQ(after({accepted(100), accepted(100), refused("x")}), Verdict::granted);
}

TEST_F(VotesTest, ATokenThatAQuorumHasIsKeptWhateverElseIsThere) {
    EXPECT_EQ(after({locked(60, 60), locked(50, 50)}), Verdict::open);
    EXPECT_EQ(after({locked(60, 60), locked(50, 50), locked(50, 50)}), Verdict::granted);
    EXPECT_EQ(votes_.granted_token(), 50U);
}

TEST_F(VotesTest, ALeaseThatMayBeAtAQuorumIsNotSaidToBeNone) {
    votes_ = Votes{{5, 4}, 100, false};
    const auto away = no(Kind::unreachable);
    EXPECT_EQ(after({locked(60, 60), locked(50, 50), locked(50, 50), away, away}), Verdict::unknown)
        << "50 may be there, too";
}

TEST_F(VotesTest, NodesThatAreOursButDidNotAcceptAreWrittenTo) {
    EXPECT_EQ(after({accepted(100), locked(120)}), Verdict::commit);
    votes_.begin_commit();
    EXPECT_EQ(votes_.token(), 121U);
    EXPECT_EQ(votes_.commit_to(), (std::vector<std::size_t>{0, 1}));
    votes_.sent_commit(0);
    votes_.sent_commit(1);
    EXPECT_EQ(votes_.verdict(), Verdict::open);
    votes_.written(0, Written::done);
    EXPECT_EQ(votes_.verdict(), Verdict::open);
    // The third comes late, and is written to as well.
    votes_.cast(2, locked(90));
    EXPECT_EQ(votes_.commit_to(), std::vector<std::size_t>{2});
    votes_.sent_commit(2);
    votes_.written(1, Written::refused);
    EXPECT_EQ(votes_.verdict(), Verdict::open);
    votes_.written(2, Written::done);
    EXPECT_EQ(votes_.verdict(), Verdict::granted);
    EXPECT_EQ(votes_.granted_token(), 121U);
}

TEST_F(VotesTest, ACommitThatCannotComeToAQuorumIsNone) {
    after({locked(120), locked(120), refused("x")});
    votes_.begin_commit();
    votes_.sent_commit(0);
    votes_.sent_commit(1);
    votes_.written(0, Written::done);
    votes_.written(1, Written::refused);
    EXPECT_EQ(votes_.verdict(), Verdict::contested);
    votes_.written(1, Written::silent);
    EXPECT_EQ(votes_.verdict(), Verdict::unknown);
}

TEST_F(VotesTest, ARetryGetsTheTokenThatAQuorumHas) {
    EXPECT_EQ(after({locked(70, 70), locked(70, 70)}), Verdict::granted);
    EXPECT_EQ(votes_.granted_token(), 70U);
}

TEST_F(VotesTest, ARetryWaitsForAllBeforeItTakesAnotherToken) {
    EXPECT_EQ(after({locked(70, 70), locked(60)}), Verdict::open);
    EXPECT_EQ(after({locked(70, 70), locked(60), no(Kind::silent)}), Verdict::commit);
    votes_.begin_commit();
    EXPECT_EQ(votes_.token(), 70U);
    EXPECT_TRUE(votes_.completes());
    EXPECT_EQ(votes_.commit_to(), std::vector<std::size_t>{1});
    votes_.sent_commit(1);
    votes_.written(1, Written::done);
    EXPECT_EQ(votes_.verdict(), Verdict::granted);
    EXPECT_EQ(votes_.granted_token(), 70U);
}

TEST_F(VotesTest, ARetryThatCannotKeepItsTokenTakesAHigherOne) {
    EXPECT_EQ(after({locked(70, 70), accepted(100), no(Kind::unreachable)}), Verdict::commit);
    votes_.begin_commit();
    EXPECT_FALSE(votes_.completes());
    EXPECT_EQ(votes_.token(), 101U);
}

TEST_F(VotesTest, ALeaseThatMayBeWhereNobodyAnswersIsUnknown) {
    EXPECT_EQ(after({locked(70, 70), no(Kind::silent), refused("x")}), Verdict::unknown);
}

TEST_F(VotesTest, HeldByOneOrContestedBySeveral) {
    EXPECT_EQ(after({refused("x", 5), refused("x", 9)}), Verdict::held);
    EXPECT_EQ(votes_.free_in_us(), 9);
    EXPECT_EQ(after({refused("x"), refused("y"), accepted(100)}), Verdict::contested);
    EXPECT_EQ(after({refused("x"), accepted(100), no(Kind::unreachable)}), Verdict::contested);
}

TEST_F(VotesTest, WhoseItIsIsWaitedForThoughItCannotBeOurs) {
    EXPECT_EQ(after({no(Kind::unreachable), refused("x")}), Verdict::open);
    EXPECT_EQ(after({no(Kind::unreachable), refused("x"), refused("x")}), Verdict::held);
}

TEST_F(VotesTest, TooFewAnswers) {
    EXPECT_EQ(after({accepted(100), no(Kind::unreachable), no(Kind::unreachable)}),
              Verdict::unreachable);
    EXPECT_EQ(after({accepted(100), no(Kind::unreachable), no(Kind::silent)}), Verdict::unknown);
    EXPECT_EQ(after({accepted(100), no(Kind::unreachable), no(Kind::not_ready)}),
              Verdict::recovering);
    EXPECT_TRUE(votes_.may_own(0));
    EXPECT_FALSE(votes_.may_own(1));
}

TEST_F(VotesTest, AClosedIdIsNeverGranted) {
    EXPECT_EQ(after({accepted(100), no(Kind::closed)}), Verdict::closed);
    EXPECT_EQ(after({accepted(100), no(Kind::pending), no(Kind::conflict)}), Verdict::open);
    EXPECT_EQ(after({accepted(100), no(Kind::conflict), no(Kind::conflict)}), Verdict::conflict);
}

TEST(RenewalTest, CountsOnlyNodesThatHadTheLeaseAlready) {
    using K = Renewal::Kind;
    Renewal renewal{{3, 2}};
    renewal.answer(0, {K::renewed, 70});
    renewal.answer(1, {K::lacking, 60});
    EXPECT_EQ(renewal.verdict(), Renewal::Verdict::open);
    EXPECT_TRUE(renewal.repairable(1, 70));
    EXPECT_FALSE(renewal.repairable(1, 59)) << "a higher fence";
    renewal.answer(2, {});
    EXPECT_EQ(renewal.verdict(), Renewal::Verdict::unanswered);
    renewal.answer(2, {K::taken, 80});
    EXPECT_EQ(renewal.verdict(), Renewal::Verdict::lost);
    renewal.answer(2, {K::renewed, 70});
    EXPECT_EQ(renewal.verdict(), Renewal::Verdict::renewed);
}

TEST(RenewalTest, AForgetfulNodeNeedsTheFencesOfAMajorityOfOthers) {
    using K = Renewal::Kind;
    Renewal renewal{{3, 2}};
    renewal.answer(0, {K::forgotten, 90});
    renewal.answer(1, {K::renewed, 70});
    EXPECT_FALSE(renewal.repairable(0, 70)) << "one other is not enough";
    renewal.answer(2, {K::renewed, 70});
    EXPECT_TRUE(renewal.repairable(0, 70));
    renewal.answer(2, {K::lacking, 75});
    EXPECT_FALSE(renewal.repairable(0, 70));
}

TEST(RenewalTest, ARevocationThatOneNodeHasHeardOfEndsTheLease) {
    using K = Renewal::Kind;
    Renewal renewal{{3, 2}};
    Renewal adopting{{3, 2}, true};
    for (Renewal* one : {&renewal, &adopting}) {
        one->answer(0, {K::closed, 70});
        one->answer(1, {K::renewed, 70});
        one->answer(2, {K::renewed, 70});
    }
    EXPECT_EQ(renewal.verdict(), Renewal::Verdict::closed);
    EXPECT_EQ(adopting.verdict(), Renewal::Verdict::renewed) << "another is told there already";
}

TEST(EndingTest, ClaimsNoMoreThanIsKnown) {
    using K = Ending::Kind;
    Ending ending{{3, 2}};
    ending.answer(0, {K::held});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::open);
    ending.answer(1, {K::held});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::held_throughout);
    ending.answer(1, {K::newer, 80});
    ending.answer(2, {});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::expired) << "an attempt may have left that";
    ending.answer(2, {K::newer, 81});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::superseded);
    EXPECT_EQ(ending.newer(), 81U);
    ending.answer(0, {K::not_held});
    ending.answer(2, {});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::superseded);
    ending.answer(1, {K::not_held});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::expired);
    ending.answer(0, {});
    EXPECT_EQ(ending.verdict(), Ending::Verdict::unanswered);
}

constexpr core::Instant kNow{std::chrono::hours{1}};

TEST(QuorumEchoesTest, PassesOnOnceWhenEnoughHaveSaidIt) {
    QuorumEchoes echoes;
    EXPECT_FALSE(echoes.heard(0, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(1, "b", 2, kNow));
    EXPECT_TRUE(echoes.heard(2, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(1, "a", 2, kNow)) << "it is the third";
    EXPECT_FALSE(echoes.heard(0, "a", 2, kNow)) << "and this is another event";
    EXPECT_TRUE(echoes.heard(1, "a", 2, kNow));
    EXPECT_TRUE(echoes.heard(0, "question", 1, kNow));
    EXPECT_FALSE(echoes.heard(1, "question", 1, kNow));
}

TEST(QuorumEchoesTest, ManyWordsAreUnderWayAtOnce) {
    QuorumEchoes echoes;
    for (const std::size_t node : {0, 1}) {
        for (int i = 0; i < 5000; ++i) {
            EXPECT_EQ(echoes.heard(node, std::to_string(i), 2, kNow), node == 1) << i;
        }
    }
}

TEST(QuorumEchoesTest, TwoEventsOfTheSameWordsAreTwo) {
    QuorumEchoes echoes;
    EXPECT_FALSE(echoes.heard(0, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(0, "a", 2, kNow));
    EXPECT_TRUE(echoes.heard(1, "a", 2, kNow));
    EXPECT_TRUE(echoes.heard(1, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(2, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(2, "a", 2, kNow));
}

TEST(QuorumEchoesTest, WhatWasSaidLongAgoIsNoPartOfAnotherEvent) {
    QuorumEchoes echoes;
    EXPECT_FALSE(echoes.heard(0, "a", 2, kNow));
    EXPECT_FALSE(echoes.heard(1, "a", 2, kNow + std::chrono::seconds{2}));
    EXPECT_TRUE(echoes.heard(0, "a", 2, kNow + std::chrono::seconds{2}));
}

TEST_F(VotesTest, WhoIsNotNeededForAnAnswerMayBeGivenUp) {
    after({accepted(100)});
    EXPECT_FALSE(votes_.rest_is_spare()) << "one of three is not enough";
    after({accepted(100), refused("x")});
    EXPECT_EQ(votes_.verdict(), Verdict::open);
    EXPECT_TRUE(votes_.rest_is_spare());
    votes_.give_up_pending();
    EXPECT_EQ(votes_.verdict(), Verdict::contested);
    EXPECT_TRUE(votes_.may_own(2) && votes_.may_come(2)) << "it is undone there, too";
    after({locked(70, 70), refused("x"), no(Kind::pending)});
    EXPECT_FALSE(votes_.rest_is_spare()) << "the holder's lease may be there";
}

}  // namespace
}  // namespace holdfast::store
