// What probes and scrapers see: HTTP and grpc.health.v1.

#include "fixture.hpp"
#include "grpc/health/v1/health.grpc.pb.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>

#include <csignal>
#include <sstream>

namespace holdfast::e2e {
namespace {

namespace health = ::grpc::health::v1;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Http, ReadyzSaysWhyNotAndLivezDoesNotCare) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}, short_memory()};
    EXPECT_THAT(http_get(daemon.http_port(), "/readyz"), StartsWith("HTTP/1.1 200 OK"));
    redis.process().kill_and_wait();
    EXPECT_TRUE(eventually(
        [&] { return http_get(daemon.http_port(), "/readyz").starts_with("HTTP/1.1 503"); }));
    EXPECT_THAT(http_get(daemon.http_port(), "/readyz"), HasSubstr("not ready: store: "));
    EXPECT_THAT(http_get(daemon.http_port(), "/livez"), StartsWith("HTTP/1.1 200 OK"));
    redis.restart_empty();
    EXPECT_TRUE(eventually(
        [&] { return http_get(daemon.http_port(), "/readyz").starts_with("HTTP/1.1 200"); }));
}

TEST(Http, MetricsCountWhatHappens) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    Client client{daemon.address()};
    pb::AcquireRequest watched = Client::request("watched", 1s);
    watched.set_max_hold_ms(60'000);
    ASSERT_TRUE(client.acquire(watched).ok());
    ASSERT_TRUE(client.acquire("plain").ok());
    EXPECT_EQ(client.acquire("plain").reason, "LOCK_HELD");
    EXPECT_EQ(daemon.sample(R"(holdfast_rpcs_total{code="OK",method="Acquire"})"), 2);
    EXPECT_EQ(daemon.sample(R"(holdfast_rpcs_total{code="ABORTED",method="Acquire"})"), 1);
    EXPECT_EQ(daemon.sample(R"(holdfast_rpc_duration_seconds_count{method="Acquire"})"), 3);
    EXPECT_EQ(daemon.sample("holdfast_leases"), 2);
    EXPECT_EQ(daemon.sample("holdfast_ready"), 1);
    EXPECT_GT(daemon.sample("holdfast_redis_commands_total"), 3);
    EXPECT_GT(daemon.sample("holdfast_redis_command_duration_seconds_count"), 3);
    EXPECT_GE(daemon.sample("holdfast_redis_connections"), 1);  // one for each shard
    EXPECT_TRUE(eventually(
        [&] { return daemon.sample(R"(holdfast_renewals_total{result="confirmed"})") >= 2; }));
    redis.process().kill_and_wait();
    EXPECT_TRUE(eventually(
        [&] { return daemon.sample(R"(holdfast_leases_lost_total{cause="deadline"})") == 1; }));
    EXPECT_GE(daemon.sample("holdfast_leases_at_risk_total"), 1);
    EXPECT_EQ(daemon.sample("holdfast_ready"), 0);
    EXPECT_GT(daemon.sample("holdfast_redis_failed_connects_total"), 0);
}

TEST(Http, MetricsAreInTheExpositionFormat) {
    Daemon daemon{{}};
    const std::string answer = http_get(daemon.http_port(), "/metrics");
    EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
    std::istringstream lines{answer.substr(answer.find("\r\n\r\n") + 4)};
    const auto well_formed =
        testing::MatchesRegex("# (HELP|TYPE) [a-z_]+ .+|[a-z_]+([{][^{}]+[}])? [-+0-9.eInfNa]+");
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        EXPECT_THAT(line, well_formed);
    }
    EXPECT_GT(count, 50);
}

TEST(Http, RefusesWhatIsNoPlainGet) {
    Daemon daemon{{}};
    const int port = daemon.http_port();
    EXPECT_THAT(
        http(port, "POST /livez HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
        StartsWith("HTTP/1.1 405"));
    EXPECT_THAT(http_get(port, "/nothing"), StartsWith("HTTP/1.1 404"));
    const std::string head = http(port, "HEAD /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(head, HasSubstr("Content-Length: "));
    EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
    EXPECT_EQ(http(port, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), "");
    EXPECT_EQ(http(port, "\x16\x03\x01 this is not HTTP\r\n\r\n"), "");
    EXPECT_THAT(http_get(port, "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST(Http, APortInUseEndsTheDaemonWithAClearError) {
    Daemon daemon{{}};
    const std::string taken = "127.0.0.1:" + std::to_string(daemon.http_port());
    const Outcome second =
        run_program({program("holdfastd"), "--listen", "127.0.0.1:0", "--admin", taken});
    EXPECT_EQ(second.code, 4) << second.output;
    EXPECT_THAT(second.output, HasSubstr(taken + " (listen.http): Address already in use"));
}

TEST(Health, WatchTellsEachServiceOfEachChange) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}};
    for (const char* service : {"", "holdfast.v1.LockService", "holdfast.v1.AdminService"}) {
        Client client{daemon.address()};
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 20s);
        health::HealthCheckRequest request;
        request.set_service(service);
        const auto watch = health::Health::NewStub(client.channel())->Watch(&context, request);
        health::HealthCheckResponse response;
        ASSERT_TRUE(watch->Read(&response));
        EXPECT_EQ(response.status(), health::HealthCheckResponse::SERVING) << service;
        redis.process().kill_and_wait();
        ASSERT_TRUE(watch->Read(&response));
        EXPECT_EQ(response.status(), health::HealthCheckResponse::NOT_SERVING) << service;
        redis.restart_empty();
        ASSERT_TRUE(watch->Read(&response));
        EXPECT_EQ(response.status(), health::HealthCheckResponse::SERVING) << service;
    }
}

}  // namespace
}  // namespace holdfast::e2e
