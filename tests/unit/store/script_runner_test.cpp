#include "store/script_runner.hpp"

#include "redis/reply.hpp"
#include "store/replies.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>

namespace holdfast::store {
namespace {

using core::StoreFailure;
using namespace std::chrono_literals;

// Remembers what is sent; the test answers.
class FakeClient final : public redis::Client {
public:
    void send(std::size_t, redis::Command command) override { sent.push_back(std::move(command)); }

    std::string answer(const std::string& resp) {
        redis::Command command = std::move(sent.front());
        sent.pop_front();
        redis::ReplyReader reader;
        bool broken = false;
        reader.feed(resp);
        command.done(*reader.next(broken));
        return command.wire;
    }
    void fail(redis::Failure failure) {
        redis::Command command = std::move(sent.front());
        sent.pop_front();
        command.done(failure);
    }

    std::deque<redis::Command> sent;
};

class ScriptRunnerTest : public testing::Test {
protected:
    void run() {
        answer_.reset();
        runner_.run({script_, 0, {"key"}, {"argument"}, 1s},
                    [this](core::StoreResult<redis::Reply> reply) {
                        answer_ = reply ? std::string{(*reply)->text()} : reply.error().message;
                        failure_ = reply ? std::nullopt : std::optional{reply.error().failure};
                    });
    }

    FakeClient client_;
    ScriptRunner runner_{client_};
    ScriptPair script_{"#!lua flags=allow-oom\nreturn 1"};
    std::optional<std::string> answer_;
    std::optional<StoreFailure> failure_;
};

TEST_F(ScriptRunnerTest, SendsTheShaAndPassesTheReplyOn) {
    run();
    const std::string wire = client_.answer("+fine\r\n");
    EXPECT_EQ(wire,
              "*5\r\n$7\r\nEVALSHA\r\n$40\r\n" + script_.flagged.sha() +
                  "\r\n$1\r\n1\r\n$3\r\nkey\r\n$8\r\nargument\r\n");
    EXPECT_EQ(answer_, "fine");
}

TEST_F(ScriptRunnerTest, SendsTheSourceOnceIfRedisDoesNotHaveIt) {
    run();
    client_.answer("-NOSCRIPT No matching script\r\n");
    EXPECT_FALSE(answer_);
    const std::string wire = client_.answer("+fine\r\n");
    EXPECT_EQ(wire,
              "*5\r\n$4\r\nEVAL\r\n$30\r\n#!lua flags=allow-oom\nreturn 1\r\n"
              "$1\r\n1\r\n$3\r\nkey\r\n$8\r\nargument\r\n");
    EXPECT_EQ(answer_, "fine");

    run();
    client_.answer("-NOSCRIPT No matching script\r\n");
    client_.answer("-NOSCRIPT really not\r\n");
    EXPECT_EQ(failure_, StoreFailure::not_executed);
    EXPECT_TRUE(client_.sent.empty());
}

TEST_F(ScriptRunnerTest, SendsTheSourceOnceForAllWhoFindThatRedisDoesNotHaveIt) {
    const auto sent_last = [this] { return std::string_view{client_.sent.back().wire}; };
    run();
    run();
    client_.answer("-NOSCRIPT No matching script\r\n");
    EXPECT_NE(sent_last().find("\r\nEVAL\r\n"), std::string_view::npos);
    client_.answer("-NOSCRIPT No matching script\r\n");
    EXPECT_NE(sent_last().find("EVALSHA"), std::string_view::npos);
    client_.answer("+first\r\n");
    EXPECT_EQ(answer_, "first");
    client_.answer("+second\r\n");
    EXPECT_EQ(answer_, "second");

    // If another's source did not help, its own.
    run();
    run();
    client_.answer("-NOSCRIPT No matching script\r\n");
    client_.answer("-NOSCRIPT No matching script\r\n");
    client_.fail(redis::Failure::unknown_disconnected);
    client_.answer("-NOSCRIPT No matching script\r\n");
    EXPECT_NE(sent_last().find("\r\nEVAL\r\n"), std::string_view::npos);
    client_.answer("+fine\r\n");
    EXPECT_EQ(answer_, "fine");
    EXPECT_TRUE(client_.sent.empty());
}

TEST_F(ScriptRunnerTest, ARedisBefore7GetsScriptsWithoutFlags) {
    run();
    client_.answer("-NOSCRIPT No matching script\r\n");
    client_.answer("-ERR Error compiling script (new function): unexpected symbol near '#'\r\n");
    const std::string wire = client_.answer("+fine\r\n");
    EXPECT_EQ(wire,
              "*5\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$3\r\nkey\r\n$8\r\nargument\r\n");
    EXPECT_EQ(answer_, "fine");

    run();  // remembered
    EXPECT_NE(client_.answer("+fine\r\n").find(script_.plain.sha()), std::string::npos);
}

TEST_F(ScriptRunnerTest, TellsWhatIsKnownOfAFailure) {
    const std::pair<redis::Failure, StoreFailure> failures[] = {
        {redis::Failure::refused_disconnected, StoreFailure::not_executed},
        {redis::Failure::refused_overloaded, StoreFailure::not_executed},
        {redis::Failure::refused_closing, StoreFailure::not_executed},
        {redis::Failure::unknown_timeout, StoreFailure::unknown},
        {redis::Failure::unknown_disconnected, StoreFailure::unknown},
    };
    for (const auto& [failure, expected] : failures) {
        run();
        client_.fail(failure);
        EXPECT_EQ(failure_, expected);
    }
    run();
    client_.answer("-OOM command not allowed\r\n");
    EXPECT_EQ(failure_, StoreFailure::not_executed);
    run();
    client_.answer("-ERR user_script:3: in the middle\r\n");
    EXPECT_EQ(failure_, StoreFailure::unknown);
}

TEST(Replies, OfAnUnexpectedShapeAreNeverGrants) {
    for (const char* resp : {"+OK\r\n",
                             ":1\r\n",
                             "*0\r\n",
                             "*1\r\n:1\r\n",
                             "*2\r\n:1\r\n:5\r\n",
                             "*3\r\n:1\r\n:5\r\n$1\r\nx\r\n",
                             "*1\r\n:99\r\n",
                             "$-1\r\n"}) {
        redis::ReplyReader reader;
        bool broken = false;
        reader.feed(resp);
        const auto reply = reader.next(broken);
        EXPECT_FALSE(decode_acquire(reply->value())) << resp;
        EXPECT_FALSE(decode_renew(reply->value(), 3)) << resp;
        EXPECT_FALSE(decode_state(*core::LockName::parse("a"), redis::Value{nullptr})) << resp;
    }
}

}  // namespace
}  // namespace holdfast::store
