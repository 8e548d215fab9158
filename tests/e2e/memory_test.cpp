// P6: Redis loses its memory under holders and waiters at two daemons.

#include "session_stream.hpp"
#include "support/record_head.hpp"

#include <gmock/gmock.h>

#include <iostream>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

constexpr int kLocks = 50;
constexpr auto kTtl = 4s;

std::string name(int i) {
    return "lock " + std::to_string(i);
}

class P6RestartsLoseNothing : public testing::Test {
protected:
    static std::map<std::string, std::string> limits() {
        return {{"HOLDFAST_LIMITS_MAX_TTL", "5s"},
                {"HOLDFAST_LIMITS_DEFAULT_TTL", "2s"},
                {"HOLDFAST_STORE_ASSUME_NEW", "false"}};
    }

    // One of each lock; held from then on by `session`.
    static void take_all(SessionStream& session, std::chrono::milliseconds wait) {
        for (int i = 0; i < kLocks; ++i) {
            session.acquire(Client::request(name(i), kTtl, wait));
        }
        ASSERT_TRUE(session.send());
    }

    // Holders at one daemon, waiters at the other, which is killed and replaced in the middle.
    void survives(const std::function<void()>& lose_memory) {
        Daemon one{{"--store", redis_.url()}, limits()};
        auto two =
            std::make_unique<Daemon>(std::vector<std::string>{"--store", redis_.url()}, limits());
        Client at_one{one.address()};
        SessionStream holders{at_one};
        take_all(holders, 30s);  // a Redis that has just started is not known to be new
        ASSERT_TRUE(holders.read_until([&] { return holders.results.size() == kLocks; }));
        std::map<std::string, std::uint64_t> tokens;
        for (const auto& [id, result] : holders.results) {
            ASSERT_TRUE(result.has_acquire()) << result.ShortDebugString();
            const auto& lease = result.acquire().lease();
            tokens[lease.name()] = lease.fencing_token();
        }
        {
            Client at_two{two->address()};
            SessionStream early{at_two};
            take_all(early, 60s);
            ASSERT_TRUE(
                eventually([&] { return two->sample("holdfast_acquires_pending") == kLocks; }));
        }

        ASSERT_TRUE(eventually(
            [&] { return http_get(one.http_port(), "/readyz").starts_with("HTTP/1.1 200"); }));
        lose_memory();
        const auto lost = Steady::now();
        const auto seconds = [&] {
            return std::chrono::duration<double>(Steady::now() - lost).count();
        };
        ASSERT_TRUE(eventually([&] {
            return http_get(one.http_port(), "/readyz").find("new grants wait") !=
                   std::string::npos;
        }));
        const double noticed = seconds();
        two->process().kill_and_wait();
        two = std::make_unique<Daemon>(std::vector<std::string>{"--store", redis_.url()}, limits());
        Client at_two{two->address()};
        EXPECT_EQ(at_two.acquire("free", kTtl).reason, "RECOVERING");
        SessionStream waiters{at_two};
        take_all(waiters, 60s);
        ASSERT_TRUE(eventually([&] {
            for (int i = 0; i < kLocks; ++i) {
                const test::RecordHead head{redis_.run({"HGET", "hf:" + name(i), "l"})};
                if (head.token != tokens[name(i)]) {
                    return false;
                }
            }
            return true;
        })) << "every lease is put back with its token";
        const double put_back = seconds();
        ASSERT_TRUE(eventually([&] { return at_two.acquire("free", kTtl).ok(); }, 30s));
        const double open = seconds();
        EXPECT_GE(open, 5.0);
        std::cout << "noticed after " << noticed << " s, all put back after " << put_back
                  << " s, open again after " << open << " s\n";

        // Beyond the ttl of what was there: all are still held, and nobody else has been granted one.
        holders.message().mutable_ping()->set_id(1);
        ASSERT_TRUE(holders.send());
        ASSERT_TRUE(holders.read_until([&] { return holders.pong.id() == 1; }));
        EXPECT_EQ(holders.pong.leases_size(), kLocks);
        for (const auto& event : holders.events) {
            EXPECT_FALSE(event.has_lost()) << event.ShortDebugString();
        }
        EXPECT_EQ(two->sample("holdfast_acquires_pending"), kLocks);
        for (const auto& lease : holders.pong.leases()) {
            holders.release(lease.lease_id());
        }
        ASSERT_TRUE(holders.send());
        ASSERT_TRUE(waiters.read_until([&] { return waiters.results.size() == kLocks; }));
        for (const auto& [id, result] : waiters.results) {
            ASSERT_TRUE(result.has_acquire()) << result.ShortDebugString();
            EXPECT_GT(result.acquire().lease().fencing_token(),
                      tokens[result.acquire().lease().name()]);
        }
    }

    test::RedisProcess redis_{{"--enable-debug-command", "yes"}};
};

TEST_F(P6RestartsLoseNothing, Flushall) {
    survives([&] { redis_.run({"FLUSHALL"}); });
}

TEST_F(P6RestartsLoseNothing, AnEmptyRestart) {
    survives([&] { redis_.restart_empty(); });
}

TEST_F(P6RestartsLoseNothing, AnOldBackupThatIsLoadedInPlace) {
    redis_.run({"SAVE"});
    survives([&] { redis_.run({"DEBUG", "RELOAD", "NOSAVE"}); });
}

TEST(P6Memory, AnEmptyRedisThatMayHaveHadLocksWaits) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()},
                  {{"HOLDFAST_LIMITS_MAX_TTL", "4s"},
                   {"HOLDFAST_LIMITS_DEFAULT_TTL", "1s"},
                   {"HOLDFAST_STORE_ASSUME_NEW", "false"}}};
    Client client{daemon.address()};
    const Answer refused = client.acquire("a", 1s);
    EXPECT_EQ(refused.reason, "RECOVERING");
    EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_LE(std::stoi(refused.metadata.at("remaining_ms")), 4420);
    EXPECT_THAT(daemon.log(), HasSubstr("--assume-new-store"));
    EXPECT_TRUE(client.acquire("a", 1s, 20s).ok()) << "who waits, waits for that too";
}

TEST(P6Memory, DaemonsOfOneStoreHaveOneMaxTtl) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    const Outcome other = run_program({program("holdfastd"),
                                       "--store",
                                       redis.url(),
                                       "--listen",
                                       "127.0.0.1:" + std::to_string(test::free_port()),
                                       "--admin",
                                       ""},
                                      short_memory());
    EXPECT_EQ(other.code, 2);
    EXPECT_THAT(other.output, HasSubstr("limits.max_ttl of the daemons on this Redis is 30000 ms"));
}

}  // namespace
}  // namespace holdfast::e2e
