#include "redis/multiplexer.hpp"

#include "redis/error_class.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

class MultiplexerTest : public testing::Test {
protected:
    explicit MultiplexerTest(Multiplexer::Limits limits = {3, 1000}) : multiplexer_(limits) {}

    struct Seen {
        int answers = 0;
        std::string reply;
        std::optional<Failure> failure;
        std::string late;
    };

    Command command(Seen& seen, std::chrono::milliseconds timeout = 1s) {
        return {format_command({"ECHO", "x"}),
                timeout,
                [&seen](Outcome outcome) {
                    ++seen.answers;
                    if (auto* reply = std::get_if<Reply>(&outcome)) {
                        seen.reply = (*reply)->text();
                    } else {
                        seen.failure = std::get<Failure>(outcome);
                    }
                },
                [&seen](const Reply& reply) { seen.late = reply->text(); }};
    }

    void push(Seen& seen, std::chrono::milliseconds timeout = 1s) {
        Command sent = command(seen, timeout);
        ASSERT_FALSE(multiplexer_.push(sent, now_));
    }

    void write() { multiplexer_.stage(written_); }

    Multiplexer multiplexer_;
    BootTime now_{1h};
    std::string written_;
};

TEST_F(MultiplexerTest, OneWriteCarriesAllThatWaits) {
    Seen a;
    Seen b;
    push(a);
    push(b);
    write();
    EXPECT_EQ(written_, "*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n");
    EXPECT_FALSE(multiplexer_.has_output());
}

TEST_F(MultiplexerTest, MatchesRepliesInOrderHoweverTheyAreCut) {
    const std::string replies = "$1\r\na\r\n+b\r\n";
    for (std::size_t cut = 0; cut <= replies.size(); ++cut) {
        Seen a;
        Seen b;
        push(a);
        push(b);
        write();
        EXPECT_EQ(multiplexer_.received(replies.substr(0, cut), now_), Multiplexer::Health::good);
        EXPECT_EQ(multiplexer_.received(replies.substr(cut), now_), Multiplexer::Health::good);
        EXPECT_EQ(a.reply + b.reply, "ab");
        EXPECT_EQ(a.answers + b.answers, 2);
    }
}

TEST_F(MultiplexerTest, ABreakLeavesWrittenOnesUnknownAndRefusesTheRest) {
    Seen answered;
    Seen written;
    Seen waiting;
    push(answered);
    push(written);
    write();
    push(waiting);
    multiplexer_.received("+a\r\n+hal", now_);
    multiplexer_.disconnected(Failure::refused_disconnected);
    EXPECT_EQ(answered.reply, "a");
    EXPECT_EQ(written.failure, Failure::unknown_disconnected);
    EXPECT_EQ(waiting.failure, Failure::refused_disconnected);
    EXPECT_EQ(answered.answers + written.answers + waiting.answers, 3);
    // Nothing of the old connection is left: neither half a reply nor a place in line.
    Seen fresh;
    push(fresh);
    write();
    multiplexer_.received("+new\r\n", now_);
    EXPECT_EQ(fresh.reply, "new");
}

TEST_F(MultiplexerTest, ALateReplyKeepsItsPlaceAndGoesToLate) {
    Seen slow;
    Seen next;
    push(slow, 10ms);
    push(next, 1s);
    write();
    multiplexer_.expire(now_ + 9ms);
    EXPECT_EQ(slow.answers, 0);
    multiplexer_.expire(now_ + 10ms);
    EXPECT_EQ(slow.failure, Failure::unknown_timeout);
    multiplexer_.received("+late\r\n+next\r\n", now_);
    EXPECT_EQ(slow.late, "late");
    EXPECT_EQ(slow.answers, 1);
    EXPECT_EQ(next.reply, "next");
    EXPECT_EQ(multiplexer_.counters().late_replies, 1U);
}

TEST_F(MultiplexerTest, ABreakAfterATimeoutDoesNotAnswerTwice) {
    Seen slow;
    push(slow, 10ms);
    write();
    multiplexer_.expire(now_ + 10ms);
    multiplexer_.disconnected(Failure::refused_disconnected);
    EXPECT_EQ(slow.answers, 1);
}

TEST_F(MultiplexerTest, EveryDeadlineIsMetWhateverTheOrder) {
    Seen seen[3];
    push(seen[0], 300ms);
    push(seen[1], 100ms);
    push(seen[2], 200ms);
    write();
    for (const int due : {1, 2, 0}) {
        EXPECT_EQ(seen[due].answers, 0);
        now_ += 100ms;
        multiplexer_.expire(now_);
        EXPECT_EQ(seen[due].answers, 1);
    }
}

TEST_F(MultiplexerTest, RefusesBeyondItsCaps) {
    Seen seen[4];
    push(seen[0]);
    push(seen[1]);
    push(seen[2]);
    Command fourth = command(seen[3]);
    EXPECT_EQ(multiplexer_.push(fourth, now_), Failure::refused_overloaded);
    EXPECT_TRUE(fourth.done) << "left untouched";

    Multiplexer small{{100, 30}};
    Command first = command(seen[0]);
    Command second = command(seen[1]);
    EXPECT_FALSE(small.push(first, now_));
    EXPECT_EQ(small.push(second, now_), Failure::refused_overloaded);
}

// Commands that give way, of which only two may be under way.
class GivingWay : public MultiplexerTest {
protected:
    GivingWay() : MultiplexerTest({100, 1000, 2}) {}

    void push_patient(Seen& seen, std::chrono::milliseconds timeout = 1s) {
        Command sent = command(seen, timeout);
        sent.gives_way = true;
        ASSERT_FALSE(multiplexer_.push(sent, now_));
    }
    // How many commands the next write carries.
    std::size_t written_now() {
        write();
        return written_.size() / format_command({"ECHO", "x"}).size();
    }
};

TEST_F(GivingWay, LeavesTheLineToOthers) {
    Seen patient[5];
    Seen urgent;
    for (Seen& seen : patient) {
        push_patient(seen);
    }
    push(urgent);
    EXPECT_EQ(written_now(), 3U) << "two of the patient, and the urgent one";
    EXPECT_EQ(multiplexer_.in_flight(), 6U);
    multiplexer_.received("+1\r\n+2\r\n+urgent\r\n", now_);
    EXPECT_EQ(urgent.reply, "urgent");
    EXPECT_EQ(written_now(), 2U);
    multiplexer_.received("+3\r\n", now_);
    EXPECT_EQ(written_now(), 1U);
    multiplexer_.received("+4\r\n+5\r\n", now_);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(patient[i].reply, std::to_string(i + 1)) << "in order";
    }
    EXPECT_FALSE(multiplexer_.has_output());
}

TEST_F(GivingWay, WhoIsHeldBackUntilTheTimeoutIsRefusedAndNeverSent) {
    Seen sent[2];
    Seen held;
    push_patient(sent[0], 5s);
    push_patient(sent[1], 5s);
    push_patient(held, 100ms);
    EXPECT_EQ(written_now(), 2U);
    now_ += 100ms;
    multiplexer_.expire(now_);
    EXPECT_EQ(held.failure, Failure::refused_overloaded);
    multiplexer_.received("+1\r\n+2\r\n", now_);
    EXPECT_FALSE(multiplexer_.has_output());
    EXPECT_EQ(multiplexer_.in_flight(), 0U);
}

TEST_F(GivingWay, AServerThatStandsStillHasNoMoreThanTheWindowToDo) {
    std::vector<Seen> seen(20);
    for (int round = 0; round < 10; ++round) {
        push_patient(seen[static_cast<std::size_t>(2 * round)], 100ms);
        push_patient(seen[static_cast<std::size_t>(2 * round + 1)], 100ms);
        write();
        now_ += 100ms;
        multiplexer_.expire(now_);
    }
    EXPECT_EQ(multiplexer_.in_flight(), 2U) << "abandoned, and still in the way";
    for (std::size_t i = 0; i < seen.size(); ++i) {
        EXPECT_EQ(seen[i].failure, i < 2 ? Failure::unknown_timeout : Failure::refused_overloaded);
    }
}

TEST_F(GivingWay, ABrokenConnectionRefusesWhoWasHeldBack) {
    Seen sent[2];
    Seen held;
    push_patient(sent[0]);
    push_patient(sent[1]);
    push_patient(held);
    write();
    multiplexer_.disconnected(Failure::refused_disconnected);
    EXPECT_EQ(sent[0].failure, Failure::unknown_disconnected);
    EXPECT_EQ(held.failure, Failure::refused_disconnected);
    Seen next;
    push_patient(next);
    EXPECT_EQ(written_now(), 1U) << "it starts afresh";
}

TEST_F(GivingWay, ManyBytesHeldBackAreRefused) {
    std::vector<Seen> seen(100);
    std::size_t refused = 0;
    for (Seen& one : seen) {
        Command sent = command(one);
        sent.gives_way = true;
        refused += multiplexer_.push(sent, now_) ? 1 : 0;
    }
    const std::size_t fit = 1000 / format_command({"ECHO", "x"}).size();
    EXPECT_EQ(refused, 100 - 2 - fit);
}

TEST_F(MultiplexerTest, NoticesWhatIsNotRedis) {
    Seen seen;
    push(seen);
    write();
    EXPECT_EQ(multiplexer_.received("HTTP/1.1 400 Bad Request\r\n", now_),
              Multiplexer::Health::protocol_error);
}

TEST_F(MultiplexerTest, AReplyThatNobodyAskedForIsAnError) {
    Seen waiting;
    push(waiting);  // not written yet: the server cannot know of it
    EXPECT_EQ(multiplexer_.received("+x\r\n", now_), Multiplexer::Health::protocol_error);
}

TEST_F(MultiplexerTest, AServerThatIsNoPrimaryIsLeft) {
    for (const char* error : {"-READONLY You can't\r\n", "-NOAUTH no\r\n", "-MASTERDOWN x\r\n"}) {
        Seen seen;
        push(seen);
        write();
        EXPECT_EQ(multiplexer_.received(error, now_), Multiplexer::Health::wants_reconnect);
        EXPECT_EQ(seen.answers, 1);
    }
}

TEST(ReplyReader, BoundsWhatAServerCanMakeUsHold) {
    ReplyReader huge;
    bool broken = false;
    EXPECT_TRUE(huge.feed("*2147483647\r\n"));
    EXPECT_FALSE(huge.next(broken));
    EXPECT_TRUE(broken);

    ReplyReader endless;
    broken = false;
    EXPECT_TRUE(endless.feed("$500000000\r\n"));
    const std::string chunk(1 << 20, 'x');
    bool fed = true;
    for (int i = 0; i < 70 && fed; ++i) {
        fed = endless.feed(chunk);
        EXPECT_FALSE(endless.next(broken));
    }
    EXPECT_FALSE(fed);

    ReplyReader deep;
    broken = false;
    std::string nested;
    for (int i = 0; i < 100; ++i) {
        nested += "*1\r\n";
    }
    EXPECT_TRUE(deep.feed(nested));
    EXPECT_FALSE(deep.next(broken));
    EXPECT_TRUE(broken);
}

TEST(Value, TheWrongTypeGivesTheEmptyValue) {
    ReplyReader reader;
    bool broken = false;
    reader.feed("*3\r\n:7\r\n$-1\r\n$2\r\nab\r\n");
    const auto reply = reader.next(broken);
    ASSERT_TRUE(reply);
    const Value value = reply->value();
    EXPECT_EQ(value.size(), 3U);
    EXPECT_EQ(value[0].integer(), 7);
    EXPECT_EQ(value[0].text(), "");
    EXPECT_TRUE(value[1].is_nil());
    EXPECT_EQ(value[2].text(), "ab");
    EXPECT_EQ(value[2].integer(), 0);
    EXPECT_TRUE(value[3].is_nil());
    EXPECT_EQ(value[0].size(), 0U);
}

TEST(ErrorClass, KnowsWhatWasNotExecuted) {
    for (const char* error : {"NOSCRIPT No matching script",
                              "MOVED 1 h:1",
                              "ASK 1 h:1",
                              "TRYAGAIN x",
                              "CLUSTERDOWN x",
                              "LOADING x",
                              "MASTERDOWN x",
                              "READONLY x",
                              "NOREPLICAS x",
                              "MISCONF x",
                              "OOM command not allowed",
                              "BUSY x",
                              "NOAUTH x",
                              "NOPERM x",
                              "CROSSSLOT x",
                              "ERR max number of clients reached"}) {
        EXPECT_TRUE(definitely_not_executed(error)) << error;
    }
    for (const char* error :
         {"UNBLOCKED x", "EXECABORT x", "ERR user_script:3: oops", "WRONGTYPE x", "LOADINGX", ""}) {
        EXPECT_FALSE(definitely_not_executed(error)) << error;
    }
}

}  // namespace
}  // namespace holdfast::redis
