#include "redis_loop.hpp"
#include "support/redis_process.hpp"
#include "support/tcp_gate.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::redis {
namespace {

TEST(Connection, PipelinesThousandsInOrderWithFewWrites) {
    const test::RedisProcess redis;
    Loop loop{tcp(redis.port())};
    ASSERT_TRUE(loop.run_until_up());
    std::vector<std::shared_ptr<Loop::Answer>> answers;
    for (int i = 0; i < 5000; ++i) {
        answers.push_back(loop.send({"INCR", "n"}));
    }
    ASSERT_TRUE(loop.run_until([&] { return answers.back()->count == 1; }));
    for (int i = 0; i < 5000; ++i) {
        EXPECT_EQ(answers[static_cast<std::size_t>(i)]->text, std::to_string(i + 1));
    }
    EXPECT_LT(loop.pool().status().connections.writes, 10U);
}

// As behind a virtual address that is elsewhere now, while the old server lives on.
TEST(Connection, AllOfAPoolLeadToTheServerThatTheNewestLeadsTo) {
    const test::RedisProcess before;
    const test::RedisProcess after;
    before.run({"SET", "who", "before"});
    after.run({"SET", "who", "after"});
    test::TcpGate gate{before.port()};
    Settings settings = tcp(gate.port());
    settings.connections = 3;
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until([&] { return loop.pool().status().up == 3; }));
    const std::string last = loop.ask({"CLIENT", "ID"}, 2);
    gate.lead_to(after.port());
    before.run({"CLIENT", "KILL", "ID", last});
    const auto lead_to = [&](std::size_t connection) {
        return loop.ask({"GET", "who"}, connection);
    };
    EXPECT_TRUE(loop.run_until([&] { return lead_to(2) == "after"; }));
    EXPECT_TRUE(loop.run_until([&] { return loop.pool().status().up == 3; }));
    for (std::size_t connection = 0; connection < 3; ++connection) {
        EXPECT_EQ(lead_to(connection), "after") << connection;
    }
}

TEST(Connection, AuthenticatesSelectsAndNamesItself) {
    const test::RedisProcess redis;
    redis.run({"ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all"});
    redis.run({"CONFIG", "SET", "requirepass", "top secret"});
    Settings settings = *parse_url(redis.url() + "?db=5");
    settings.password = "top secret";
    settings.client_name = "tester";
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until_up());
    EXPECT_EQ(loop.ask({"CLIENT", "GETNAME"}), "tester");
    EXPECT_NE(loop.ask({"CLIENT", "LIST"}).find("db=5"), std::string::npos);

    settings.user = "bob";
    settings.password = "pw";
    Loop bob{settings};
    ASSERT_TRUE(bob.run_until_up());
    EXPECT_EQ(bob.ask({"ACL", "WHOAMI"}), "bob");
}

TEST(Connection, AWrongPasswordIsSaidButNotShown) {
    const test::RedisProcess redis{{"--requirepass", "right"}};
    for (const std::string password : {"", "s3cret"}) {
        Settings settings = tcp(redis.port());
        settings.password = password;
        Loop loop{settings};
        ASSERT_TRUE(
            loop.run_until([&] { return loop.pool().status().connections.failed_connects > 1; }));
        const std::string error = loop.pool().status().last_error;
        EXPECT_TRUE(error.starts_with("WRONGPASS") || error.starts_with("NOAUTH")) << error;
        EXPECT_EQ(error.find("s3cret"), std::string::npos);
        const auto answer = loop.send({"PING"});
        ASSERT_TRUE(loop.run_until([&] { return answer->count == 1; }));
        EXPECT_TRUE(answer->refused);
    }
}

TEST(Connection, CutAtAnyByteEveryCommandIsAnsweredOnce) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    redis.run({"SET", "k", "0123456789"});
    // The handshake's replies are 4 times "+OK\r\n" or "+PONG\r\n".
    const std::size_t handshake = 3 * 5 + 2 * 7 - 5 + 2;
    for (std::size_t cut = handshake; cut < handshake + 60; ++cut) {
        gate.cut_after(cut);
        Loop loop{tcp(gate.port())};
        if (!loop.run_until([&] { return loop.pool().status().connections.connects > 0; }, 200ms)) {
            continue;
        }
        std::vector<std::shared_ptr<Loop::Answer>> answers;
        for (int i = 0; i < 3; ++i) {
            answers.push_back(loop.send({"GET", "k"}));
        }
        ASSERT_TRUE(loop.run_until([&] {
            return answers[0]->count + answers[1]->count + answers[2]->count >= 3;
        })) << "cut after "
            << cut;
        for (const auto& answer : answers) {
            EXPECT_EQ(answer->count, 1);
            EXPECT_TRUE(answer->text == "0123456789" || answer->unknown || answer->refused);
        }
        gate.cut_after({});
    }
}

TEST(Connection, UnderstandsRepliesThatComeByteByByte) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    gate.byte_by_byte(true);
    Loop loop{tcp(gate.port())};
    ASSERT_TRUE(loop.run_until_up());
    const std::string value(300, 'v');
    EXPECT_EQ(loop.ask({"SET", "k", value}), "OK");
    EXPECT_EQ(loop.ask({"GET", "k"}), value);
}

TEST(Connection, ReconnectsAndResendsNothing) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Loop loop{tcp(gate.port())};
    ASSERT_TRUE(loop.run_until_up());
    gate.drop_replies(true);  // executed, but we cannot know
    const auto lost = loop.send({"INCR", "n"});
    ASSERT_TRUE(eventually([&] {
        loop.run_until([] { return true; });
        return redis.run({"GET", "n"}) == "1";
    }));
    gate.cut();
    ASSERT_TRUE(loop.run_until([&] { return lost->count == 1; }));
    EXPECT_TRUE(lost->unknown);
    gate.drop_replies(false);
    gate.cut();
    ASSERT_TRUE(loop.run_until([&] {
        const auto answer = loop.send({"PING"});
        loop.run_until([&] { return answer->count == 1; });
        return answer->text == "PONG";
    }));
    EXPECT_EQ(redis.run({"GET", "n"}), "1");
}

TEST(Connection, APausedRedisTimesOutAndItsLateReplyIsSeen) {
    test::RedisProcess redis;
    Loop loop{tcp(redis.port())};
    ASSERT_TRUE(loop.run_until_up());
    redis.process().stop();
    const auto slow = loop.send({"ECHO", "slow"}, 100ms);
    ASSERT_TRUE(loop.run_until([&] { return slow->count == 1; }));
    EXPECT_TRUE(slow->unknown);
    redis.process().resume();
    EXPECT_TRUE(loop.run_until([&] { return slow->late == "slow"; }));
    EXPECT_EQ(loop.ask({"ECHO", "next"}), "next");
    EXPECT_EQ(slow->count, 1);
}

TEST(Connection, RefusesBeyondItsCapAtOnce) {
    test::RedisProcess redis;
    Settings settings = tcp(redis.port());
    settings.limits.max_in_flight = 10;
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until_up());
    redis.process().stop();
    std::vector<std::shared_ptr<Loop::Answer>> answers;
    for (int i = 0; i < 20; ++i) {
        answers.push_back(loop.send({"PING"}));
    }
    EXPECT_TRUE(loop.run_until([&] { return answers.back()->refused; }, 1s));
    EXPECT_EQ(answers.front()->count, 0);
    redis.process().resume();
    EXPECT_TRUE(loop.run_until([&] { return answers[9]->text == "PONG"; }));
}

TEST(Connection, LeavesAServerThatIsNoPrimary) {
    const test::RedisProcess redis;
    Loop loop{tcp(redis.port())};
    ASSERT_TRUE(loop.run_until_up());
    const auto before = loop.pool().status().connections.connects;
    redis.run({"REPLICAOF", "127.0.0.1", "1"});
    EXPECT_TRUE(loop.ask({"SET", "a", "1"}).starts_with("READONLY"));
    redis.run({"REPLICAOF", "NO", "ONE"});
    EXPECT_TRUE(loop.run_until([&] { return loop.pool().status().connections.connects > before; }));
    EXPECT_TRUE(loop.run_until_up());
    EXPECT_EQ(loop.ask({"SET", "a", "1"}), "OK");
}

TEST(Connection, GarbageIsCountedAndSurvived) {
    namespace asio = boost::asio;
    asio::io_context context;
    asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    std::function<void()> serve = [&] {
        acceptor.async_accept([&](auto error, asio::ip::tcp::socket peer) {
            if (!error) {
                boost::system::error_code ignored;
                asio::write(peer, asio::buffer("HTTP/1.1 200 OK\r\n\r\n", 19), ignored);
                serve();
            }
        });
    };
    serve();
    Loop loop{tcp(acceptor.local_endpoint().port())};
    EXPECT_TRUE(loop.run_until([&] {
        context.poll();
        return loop.pool().status().connections.protocol_errors > 2;
    }));
    EXPECT_EQ(loop.pool().status().up, 0U);
    EXPECT_NE(loop.pool().status().last_error.find("protocol"), std::string::npos);
}

TEST(Connection, StopAnswersWhatIsUnderWay) {
    test::RedisProcess redis;
    auto loop = std::make_unique<Loop>(tcp(redis.port()));
    ASSERT_TRUE(loop->run_until_up());
    redis.process().stop();
    const auto under_way = loop->send({"PING"});
    loop->run_until([] { return true; });
    loop.reset();
    EXPECT_EQ(under_way->count, 1);
    EXPECT_EQ(under_way->text, "");
}

TEST(Connection, SaysWhyItCannotConnect) {
    Loop refused{tcp(test::free_port())};
    EXPECT_TRUE(refused.run_until(
        [&] { return refused.pool().status().last_error.find("refused") != std::string::npos; }));
    Settings missing;
    missing.unix_path = "/nonexistent/redis.sock";
    Loop nowhere{missing};
    EXPECT_TRUE(nowhere.run_until([&] {
        return nowhere.pool().status().last_error.find("No such file") != std::string::npos;
    }));
}

}  // namespace
}  // namespace holdfast::redis
