// The daemon as an operator sees it: starting, stopping, Redis coming and going, mistakes in
// settings.

#include "fixture.hpp"
#include "grpc/health/v1/health.grpc.pb.h"
#include "support/tcp_gate.hpp"

#include <grpcpp/channel.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace holdfast::e2e {
namespace {

namespace health = ::grpc::health::v1;

Outcome holdfastd(std::vector<std::string> arguments,
                  const std::map<std::string, std::string>& environment = {}) {
    arguments.insert(arguments.begin(), {program("holdfastd"), "--admin", "127.0.0.1:0"});
    return run_program(arguments, environment);
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// Processes with this directory on their command line.
int redis_servers_in(const std::string& directory) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
        const std::string command = test::read_file(entry.path().string() + "/cmdline");
        count += command.starts_with("redis-server") && contains(command, directory) ? 1 : 0;
    }
    return count;
}

TEST(P6Restart, AnotherDaemonRenewsAndReleasesWhatADrainedOneGranted) {
    const test::RedisProcess redis;
    Daemon first{{"--store", redis.url()}};
    Daemon second{{"--store", redis.url()}};
    Client at_first{first.address()};
    Client at_second{second.address()};
    ASSERT_TRUE(at_first.acquire("kept").ok());
    const pb::Lease lease = at_first.lease;
    first.process().signal(SIGTERM);
    EXPECT_EQ(first.process().wait(10s), 0);
    ASSERT_TRUE(at_second.renew(lease.lease_id()).ok());
    EXPECT_EQ(at_second.lease.fencing_token(), lease.fencing_token());
    ASSERT_TRUE(at_second.release(lease.lease_id()).ok());
    EXPECT_EQ(at_second.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

TEST(P6Restart, ARequestIdGetsTheSameLeaseAtAnotherDaemon) {
    const test::RedisProcess redis;
    Daemon first{{"--store", redis.url()}};
    Daemon second{{"--store", redis.url()}};
    pb::AcquireRequest request = Client::request("a");
    request.set_request_id(std::string(32, 'r'));
    Client at_first{first.address()};
    Client at_second{second.address()};
    ASSERT_TRUE(at_first.acquire(request).ok());
    first.process().kill_and_wait();
    ASSERT_TRUE(at_second.acquire(request).ok());
    EXPECT_EQ(at_second.lease.lease_id(), at_first.lease.lease_id());
    EXPECT_EQ(at_second.lease.fencing_token(), at_first.lease.fencing_token());
}

TEST(Drain, AnswersThoseWhoWaitAndEndsSoon) {
    Daemon daemon{{}};
    Client holder{daemon.address()};
    ASSERT_TRUE(holder.acquire("busy", 30s).ok());
    std::vector<std::thread> waiters;
    std::vector<Answer> answers(20);
    for (Answer& answer : answers) {
        waiters.emplace_back([&] { answer = Client{daemon.address()}.acquire("busy", 1s, 60s); });
    }
    EXPECT_TRUE(eventually(
        [&] { return Client{daemon.address()}.acquire("busy").metadata["queue_length"] == "20"; }));
    const auto start = Steady::now();
    daemon.process().signal(SIGTERM);
    for (std::thread& waiter : waiters) {
        waiter.join();
    }
    for (const Answer& answer : answers) {
        EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
        EXPECT_EQ(answer.reason, "DRAINING");
    }
    EXPECT_EQ(daemon.process().wait(10s), 0) << daemon.log();
    EXPECT_LT(Steady::now() - start, 5s);
}

TEST(Drain, DoesNotWaitForConnectionsThatCarryNoCall) {
    Daemon daemon{{}};
    test::TcpGate gate{daemon.port()};
    Client idle{"127.0.0.1:" + std::to_string(gate.port())};
    ASSERT_TRUE(idle.acquire("a").ok());
    gate.hold_requests(true);  // it never says goodbye
    Client watcher{daemon.address()};
    grpc::ClientContext context;
    const auto watch =
        health::Health::NewStub(watcher.channel())->Watch(&context, health::HealthCheckRequest{});
    health::HealthCheckResponse response;
    ASSERT_TRUE(watch->Read(&response));
    daemon.process().signal(SIGTERM);
    EXPECT_EQ(daemon.process().wait(5s), 0) << daemon.log();
}

TEST(Embedded, ItsRedisGoesWithTheDaemonHoweverThatEnds) {
    for (const int signal : {SIGTERM, SIGKILL}) {
        const test::TempDir directory;
        Daemon daemon{{}, {{"TMPDIR", directory.path()}}};
        EXPECT_TRUE(eventually([&] { return redis_servers_in(directory.path()) == 1; }));
        daemon.process().signal(signal);
        daemon.process().wait(10s);
        EXPECT_TRUE(eventually([&] { return redis_servers_in(directory.path()) == 0; }))
            << "signal " << signal;
    }
}

TEST(Readiness, FollowsRedis) {
    test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url()}, short_memory()};
    redis.process().stop();  // it hangs, with its connections open
    EXPECT_TRUE(daemon.wait_serving(false));
    Client client{daemon.address()};
    const Answer answer = client.acquire("a", 1s);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
    redis.process().resume();
    EXPECT_TRUE(daemon.wait_serving(true));
    redis.process().kill_and_wait();
    EXPECT_TRUE(daemon.wait_serving(false));
    EXPECT_EQ(client.acquire("b", 1s).reason, "STORE_UNAVAILABLE");
    redis.restart_empty();
    EXPECT_TRUE(daemon.wait_serving(true));
    EXPECT_TRUE(client.acquire("c", 1s, 5s).ok());
    EXPECT_TRUE(contains(daemon.log(), "not ready: store:")) << daemon.log();
}

TEST(Readiness, ADaemonWaitsForARedisThatIsNotThereYet) {
    test::RedisProcess redis;
    redis.process().kill_and_wait();
    Daemon daemon{{"--store", redis.url()}, {}, false};
    EXPECT_TRUE(eventually([&] { return contains(daemon.log(), "waiting for the store"); }));
    EXPECT_FALSE(daemon.serving());
    redis.restart_empty();
    EXPECT_TRUE(daemon.wait_serving());
}

TEST(Start, FailFastEndsWithItsOwnCode) {
    const std::string nowhere = "redis://:s3cret@127.0.0.1:" + std::to_string(test::free_port());
    const Outcome run = holdfastd({"--store",
                                   nowhere,
                                   "--fail-fast",
                                   "--listen",
                                   "127.0.0.1:" + std::to_string(test::free_port())});
    EXPECT_EQ(run.code, 3);
    EXPECT_TRUE(contains(run.output, "refused")) << run.output;
    EXPECT_FALSE(contains(run.output, "s3cret"));
}

TEST(Start, AWrongPasswordIsSaid) {
    const test::RedisProcess redis{{"--requirepass", "right"}};
    const std::string store = "redis://:s3cret@127.0.0.1:" + std::to_string(redis.port());
    const Outcome run = holdfastd({"--store",
                                   store,
                                   "--fail-fast",
                                   "--listen",
                                   "127.0.0.1:" + std::to_string(test::free_port())});
    EXPECT_EQ(run.code, 3);
    EXPECT_TRUE(contains(run.output, "WRONGPASS")) << run.output;
    EXPECT_FALSE(contains(run.output, "s3cret"));
}

TEST(Start, APortInUseIsSaid) {
    Daemon daemon{{}};
    const Outcome run = holdfastd({"--listen", daemon.address()});
    EXPECT_EQ(run.code, 4);
    EXPECT_TRUE(contains(run.output, "cannot listen on " + daemon.address())) << run.output;
}

TEST(Start, ServesOnAUnixSocketAndSeveralAddresses) {
    const test::TempDir directory;
    const std::string path = "unix:" + directory.file("holdfast.sock");
    Daemon daemon{{"--listen", path}};
    EXPECT_TRUE(Client{path}.acquire("a").ok());
    EXPECT_TRUE(Client{daemon.address()}.acquire("b").ok());
}

TEST(Settings, MistakesEndWithCode2AndNameTheSetting) {
    const test::TempDir directory;
    const auto with_file = [&](const std::string& text) {
        const std::string path = directory.file("config.toml");
        std::ofstream{path} << text;
        return holdfastd({"--config", path, "--check-config"});
    };
    const std::pair<std::string, std::string> mistakes[] = {
        {"[store]\nurll = \"x\"\n", ":2: unknown setting store.urll"},
        {"[limits]\nmax_ttl = 30\n", "limits.max_ttl must be a string with a unit"},
        {"[limits]\nmax_ttl = \"2h\"\n", "limits.max_ttl"},
        {"[limits]\nmin_ttl = \"20s\"\n", "limits.default_ttl"},
        {"[store]\nurl = \"http://x\"\n", "store.url"},
        {"[store\n", "not TOML"},
    };
    for (const auto& [text, expected] : mistakes) {
        const Outcome run = with_file(text);
        EXPECT_EQ(run.code, 2) << text;
        EXPECT_TRUE(contains(run.output, expected)) << run.output;
    }
    EXPECT_EQ(with_file("[log]\nlevel = \"debug\"\n").code, 0);
    EXPECT_TRUE(contains(holdfastd({"--config", "/nonexistent", "--check-config"}).output,
                         "/nonexistent: cannot be read"));
    EXPECT_EQ(holdfastd({"--no-such-flag"}).code, 2);
    const Outcome environment = holdfastd({"--check-config"}, {{"HOLDFAST_STORE_ULR", "x"}});
    EXPECT_EQ(environment.code, 2);
    EXPECT_TRUE(contains(environment.output, "HOLDFAST_STORE_ULR"));
    EXPECT_EQ(holdfastd({"--version"}).code, 0);
    EXPECT_TRUE(contains(holdfastd({"--help"}).output, "limits.max_ttl"));
}

TEST(Log, JsonLinesWithoutSecrets) {
    const test::RedisProcess redis;
    Daemon daemon{{"--store", redis.url(), "--log-format", "json"}};
    Client client{daemon.address()};
    ASSERT_TRUE(client.acquire("a").ok());
    daemon.process().signal(SIGTERM);
    daemon.process().wait(10s);
    EXPECT_TRUE(contains(daemon.log(), "\"level\":\"info\",\"msg\":\"ready")) << daemon.log();
    EXPECT_FALSE(contains(daemon.log(), client.lease.lease_id()));
}

}  // namespace
}  // namespace holdfast::e2e
