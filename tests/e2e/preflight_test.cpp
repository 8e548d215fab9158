// What the daemon makes of a Redis that is not fit to keep locks, and of one whose clock is set.

#include "fixture.hpp"
#include "hold_stream.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"
#include "support/redis_clock.hpp"

#include <boost/system/system_error.hpp>
#include <gmock/gmock.h>
#include <grpcpp/channel.h>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Empty while the daemon does not listen yet.
std::string readyz(const Daemon& daemon) try {
    return http_get(daemon.http_port(), "/readyz");
} catch (const boost::system::system_error&) {
    return "";
}

bool becomes(const Daemon& daemon, const std::string& status, const std::string& text) {
    return eventually(
        [&] {
            const std::string page = readyz(daemon);
            return page.starts_with("HTTP/1.1 " + status) && page.find(text) != std::string::npos;
        },
        25s);
}

pb::GetStatusResponse status_of(const Client& client) {
    grpc::ClientContext context;
    pb::GetStatusResponse status;
    EXPECT_TRUE(pb::AdminService::NewStub(client.channel())->GetStatus(&context, {}, &status).ok());
    return status;
}

TEST(Preflight, GrantsNothingFromARedisThatEvicts) {
    const test::RedisProcess redis{{"--maxmemory-policy", "volatile-lru"}};
    Daemon daemon{{"--store", redis.url()}, {}, false};
    ASSERT_TRUE(becomes(daemon, "503", "maxmemory-policy is volatile-lru"));
    EXPECT_FALSE(daemon.serving());
    Client client{daemon.address()};
    const Answer answer = client.acquire("a");
    EXPECT_EQ(answer.reason, "STORE_UNAVAILABLE");
    EXPECT_THAT(answer.status.error_message(), HasSubstr("volatile-lru"));
    EXPECT_EQ(daemon.sample(R"(holdfast_store_check{check="eviction"})"), 2);
    const auto status = status_of(client);
    EXPECT_FALSE(status.ready());
    ASSERT_EQ(status.reasons_size(), 1);
    EXPECT_THAT(status.reasons(0), HasSubstr("store.allow_eviction"));
}

TEST(Preflight, EvictionCanBeAllowedAndShows) {
    const test::RedisProcess redis{{"--maxmemory-policy", "volatile-lru"}};
    Daemon daemon{{"--store", redis.url()}, {{"HOLDFAST_STORE_ALLOW_EVICTION", "true"}}};
    EXPECT_TRUE(becomes(daemon, "200", "\nwarning: store: its maxmemory-policy is volatile-lru"));
    EXPECT_THAT(readyz(daemon), HasSubstr("\r\n\r\nready\n"));
    EXPECT_EQ(daemon.sample(R"(holdfast_store_check{check="eviction"})"), 1);
    EXPECT_THAT(daemon.log(), HasSubstr("maxmemory-policy is volatile-lru"));
    Client client{daemon.address()};
    EXPECT_TRUE(client.acquire("a").ok());
    const auto status = status_of(client);
    EXPECT_TRUE(status.ready());
    EXPECT_EQ(status.warnings_size(), 2);  // and that nothing is kept on disk
}

TEST(Preflight, NoticesEvictionWhileItRunsAndLeavesLeasesAlone) {
    const test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Client client{daemon.address()};
    ASSERT_TRUE(client.acquire("held", 20s).ok());
    pb::AcquireRequest watched = Client::request("watched", 2s);
    HoldStream hold{client, watched};
    ASSERT_EQ(hold.next(), Event::kGranted);
    redis.run({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
    ASSERT_TRUE(becomes(daemon, "503", "allkeys-lru"));
    EXPECT_FALSE(daemon.serving());
    EXPECT_EQ(client.acquire("b").reason, "STORE_UNAVAILABLE");
    EXPECT_EQ(hold.next(), Event::kRenewed);
    EXPECT_TRUE(client.renew(client.lease.lease_id(), 20s).ok());
    EXPECT_TRUE(client.release(client.lease.lease_id()).ok());
    redis.run({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
    ASSERT_TRUE(becomes(daemon, "200", "ready"));
    EXPECT_TRUE(client.acquire("b").ok());
}

TEST(Preflight, WhoWaitsIsToldThatNothingIsGranted) {
    const test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Client holder{daemon.address()};
    ASSERT_TRUE(holder.acquire("a", 30s).ok());
    redis.run({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
    Client waiter{daemon.address()};
    const Answer answer = waiter.acquire("a", 10s, 25s);
    EXPECT_EQ(answer.reason, "STORE_UNAVAILABLE") << answer.status.error_message();
}

TEST(Preflight, WarnsOfARedisThatKeepsNothingOnDisk) {
    const test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    EXPECT_TRUE(becomes(daemon, "200", "warning: store: it keeps nothing on disk"));
    EXPECT_EQ(daemon.sample(R"(holdfast_store_check{check="persistence"})"), 1);
    redis.run({"CONFIG", "SET", "appendonly", "yes"});
    EXPECT_TRUE(eventually(
        [&] { return daemon.sample(R"(holdfast_store_check{check="persistence"})") == 0; }, 25s));
    EXPECT_THAT(readyz(daemon), Not(HasSubstr("warning")));
}

TEST(Preflight, TooFewReplicasAreRefusedIfSoConfigured) {
    const test::RedisProcess redis{{"--appendonly", "yes"}};
    std::map<std::string, std::string> environment{{"HOLDFAST_STORE_REPLICAS", "1"}};
    const Daemon warns{{"--store", redis.url()}, environment};
    EXPECT_TRUE(becomes(warns, "200", "warning: store: it has 0 replicas connected"));
    environment["HOLDFAST_STORE_PREFLIGHT"] = "refuse";
    const Daemon refuses{{"--store", redis.url()}, environment, false};
    EXPECT_TRUE(becomes(refuses, "503", "store.replicas is 1"));
    const test::RedisProcess replica{{"--replicaof", "127.0.0.1 " + std::to_string(redis.port())}};
    EXPECT_TRUE(becomes(refuses, "200", "ready"));
}

TEST(Preflight, AReplicaIsNotReady) {
    const test::RedisProcess primary;
    const test::RedisProcess replica{
        {"--replicaof", "127.0.0.1 " + std::to_string(primary.port())}};
    const Daemon daemon{{"--store", replica.url()}, {}, false};
    EXPECT_TRUE(becomes(daemon, "503", "it is a replica of 127.0.0.1:"));
    EXPECT_FALSE(daemon.serving());
}

TEST(Preflight, ADaemonWithAnotherMaxTtlSaysWhich) {
    const test::RedisProcess redis;
    const Daemon first{{"--store", redis.url()}};
    Daemon second{{"--store", redis.url()}, {{"HOLDFAST_LIMITS_MAX_TTL", "20s"}}, false};
    EXPECT_EQ(second.process().wait(20s), 2);
    EXPECT_THAT(second.log(), HasSubstr("is 30000 ms, and must be the same for all"));
}

// A Redis whose clock is set, with AOF so that there is no other warning.
class RedisClockSet : public testing::Test {
protected:
    // Grants go on 4.42 s after a loss.
    static std::map<std::string, std::string> limits() {
        return {{"HOLDFAST_LIMITS_MAX_TTL", "4s"}, {"HOLDFAST_LIMITS_DEFAULT_TTL", "4s"}};
    }
    double steps(const std::string& direction) const {
        return daemon_.sample("holdfast_store_clock_steps_total{direction=\"" + direction + "\"}");
    }

    test::RedisClock clock_;
    const test::RedisProcess redis_{{}, clock_.environment()};
    Daemon daemon_{{"--store", redis_.url()}, limits()};
    Client client_{daemon_.address()};
};

TEST_F(RedisClockSet, ForwardEndsNoLeaseAndStopsGrantsForAWhile) {
    HoldStream hold{client_, Client::request("held", 4s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    const std::uint64_t token = hold.lease.fencing_token();
    const auto set_at = Steady::now();
    clock_.set(60s);
    ASSERT_TRUE(eventually([&] { return steps("forward") == 1; }, 5s));
    EXPECT_LT(Steady::now() - set_at, 3s);  // a look each second, on a busy machine
    EXPECT_EQ(client_.acquire("free", 4s).reason, "RECOVERING");
    EXPECT_TRUE(becomes(daemon_, "503", "its clock was set forward"));
    EXPECT_TRUE(hold.until(Event::kAtRisk));
    EXPECT_TRUE(hold.until(Event::kRecovered));
    Client other{daemon_.address()};
    EXPECT_FALSE(other.acquire("held", 4s).ok());
    ASSERT_TRUE(client_.acquire("free", 4s, 15s).ok());
    EXPECT_GE(Steady::now() - set_at, 4s);
    EXPECT_GT(client_.lease.fencing_token(), token);
    EXPECT_EQ(other.acquire("held", 4s).reason, "LOCK_HELD");
    EXPECT_THAT(daemon_.log(), HasSubstr("the clock of Redis was set forward by "));
    EXPECT_TRUE(client_.release(hold.lease.lease_id()).ok());
    EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

// Without a look in between: the acquire's own reply is the first to tell.
TEST_F(RedisClockSet, NothingIsGrantedByTheReplyThatTellsOfAStepForward) {
    ASSERT_TRUE(client_.acquire("held", 4s).ok());
    const auto believed = client_.believe_until();
    clock_.set(60s);
    Client other{daemon_.address()};
    while (Steady::now() < believed - 100ms) {
        const auto asked = Steady::now();
        const Answer answer = other.acquire("held", 1s);
        ASSERT_FALSE(answer.ok() && Steady::now() < believed) << "granted while it is held";
        eventually([&] { return Steady::now() > asked + 100ms; });
    }
}

TEST_F(RedisClockSet, BackIsCountedAndStopsNothing) {
    ASSERT_TRUE(client_.acquire("held", 4s).ok());
    const std::uint64_t token = client_.lease.fencing_token();
    const std::string lease_id = client_.lease.lease_id();
    clock_.set(-60s);
    ASSERT_TRUE(eventually([&] { return steps("backward") == 1; }));
    EXPECT_TRUE(daemon_.serving());
    EXPECT_TRUE(client_.acquire("free", 4s).ok());
    EXPECT_TRUE(client_.release(lease_id).ok());
    ASSERT_TRUE(client_.acquire("held", 4s).ok());
    EXPECT_GT(client_.lease.fencing_token(), token);
    EXPECT_NEAR(daemon_.sample("holdfast_store_clock_offset_seconds"), -60, 70);
}

TEST_F(RedisClockSet, BackDoesNotLengthenTheTimeWithoutGrants) {
    clock_.set(60s);
    ASSERT_TRUE(eventually([&] { return steps("forward") == 1; }));
    clock_.set(-60s);
    EXPECT_TRUE(client_.acquire("free", 4s, 20s).ok());
}

}  // namespace
}  // namespace holdfast::e2e
