// DURABILITY_REPLICATED and strict mode, with replicas whose links can be cut.

#include "hold_stream.hpp"
#include "support/redis_pair.hpp"

#include <gmock/gmock.h>

#include <string>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

pb::AcquireRequest replicated(const std::string& name,
                              std::chrono::milliseconds ttl = 10s,
                              std::uint32_t replicas = 1) {
    pb::AcquireRequest request = Client::request(name, ttl);
    request.set_durability(pb::DURABILITY_REPLICATED);
    request.set_replicas(replicas);
    return request;
}

class Durable : public testing::Test {
protected:
    explicit Durable(
        std::map<std::string, std::string> environment = {{"HOLDFAST_STORE_WAIT_TIMEOUT", "1s"}})
        : environment_(std::move(environment)) {}

    bool ready_page_says(const std::string& text) {
        return eventually([&] {
            return http_get(daemon_.http_port(), "/readyz").find(text) != std::string::npos;
        });
    }

    std::map<std::string, std::string> environment_;
    test::RedisPair pair_;
    Daemon daemon_{{"--store", pair_.primary.url()}, environment_};
    Client client_{daemon_.address()};
};

class Strict : public Durable {
protected:
    Strict()
        : Durable({{"HOLDFAST_STORE_SAFETY", "strict"},
                   {"HOLDFAST_STORE_REPLICAS", "1"},
                   {"HOLDFAST_LIMITS_MAX_TTL", "4s"},
                   {"HOLDFAST_LIMITS_DEFAULT_TTL", "2s"}}) {}
};

TEST_F(Durable, AGrantTellsTheLevelThatItHasReached) {
    ASSERT_TRUE(client_.acquire("plain").ok());
    EXPECT_EQ(client_.lease.durability(), pb::DURABILITY_LEADER);
    EXPECT_EQ(client_.lease.replicas(), 0U);
    ASSERT_TRUE(client_.acquire(replicated("a")).ok());
    EXPECT_EQ(client_.lease.durability(), pb::DURABILITY_REPLICATED);
    EXPECT_EQ(client_.lease.replicas(), 1U);
    EXPECT_EQ(pair_.replica.run({"EXISTS", "hf:a"}), "1");
    ASSERT_TRUE(client_.renew(client_.lease.lease_id()).ok());
    EXPECT_EQ(client_.lease.durability(), pb::DURABILITY_REPLICATED);
    EXPECT_GE(daemon_.sample("holdfast_store_waits_total"), 2);
    EXPECT_EQ(daemon_.sample("holdfast_store_waited_writes_total{result=\"too_few\"}"), 0);
}

TEST_F(Durable, AGrantThatNoReplicaHasIsUndone) {
    pair_.cut(true);
    const Answer answer = client_.acquire(replicated("a"));
    EXPECT_EQ(answer.reason, "NOT_DURABLE");
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(answer.status.error_message(), HasSubstr("0 of 1 replicas"));
    EXPECT_TRUE(eventually([&] { return client_.get("a").reason == "NOT_FOUND"; }))
        << "nothing is left behind";
    EXPECT_TRUE(client_.acquire("a", 2s).ok()) << "the lock is free again";
    EXPECT_GE(daemon_.sample("holdfast_store_waited_writes_total{result=\"too_few\"}"), 1);
    pair_.cut(false);
    EXPECT_TRUE(eventually([&] { return client_.acquire(replicated("b")).ok(); }));
}

TEST_F(Durable, ASetOfLocksIsAllOrNothingToo) {
    pb::AcquireAllRequest all;
    all.add_names("a");
    all.add_names("b");
    all.set_durability(pb::DURABILITY_REPLICATED);
    all.set_replicas(1);
    const auto take = [&](pb::AcquireAllResponse& response) {
        grpc::ClientContext context;
        return answer_of(client_.stub().AcquireAll(&context, all, &response));
    };
    pb::AcquireAllResponse granted;
    ASSERT_TRUE(take(granted).ok());
    EXPECT_EQ(granted.leases(0).replicas(), 1U);
    EXPECT_EQ(granted.leases(1).durability(), pb::DURABILITY_REPLICATED);
    client_.release(granted.lease_id());
    pair_.cut(true);
    EXPECT_EQ(take(granted).reason, "NOT_DURABLE");
    EXPECT_TRUE(eventually([&] {
        return client_.get("a").reason == "NOT_FOUND" && client_.get("b").reason == "NOT_FOUND";
    }));
}

TEST_F(Durable, AHolderWhoseRenewalsNoReplicaHasIsToldInTime) {
    HoldStream stream{client_, replicated("a", 6s)};
    ASSERT_TRUE(stream.until(Event::kGranted));
    EXPECT_EQ(stream.lease.replicas(), 1U);
    ASSERT_TRUE(stream.until(Event::kRenewed));
    pair_.cut(true);
    ASSERT_TRUE(stream.until(Event::kAtRisk));
    pair_.cut(false);
    ASSERT_TRUE(stream.until(Event::kRecovered));
    pair_.cut(true);
    ASSERT_TRUE(stream.until(Event::kLost));
}

TEST_F(Durable, ItIsAskedForWithinBounds) {
    EXPECT_EQ(client_.acquire(replicated("a", 10s, 17)).field, "replicas");
    EXPECT_EQ(client_.acquire(replicated("a", 10s, 0)).field, "replicas");
    pb::AcquireRequest request = Client::request("a");
    request.set_replicas(1);
    EXPECT_EQ(client_.acquire(request).field, "replicas");
    EXPECT_EQ(client_.acquire(replicated("a", 10s, 2)).reason, "NOT_DURABLE");
    Daemon embedded{{}};
    EXPECT_EQ(Client{embedded.address()}.acquire(replicated("a")).reason, "NOT_DURABLE");
}

TEST_F(Durable, TheCommandLineAsksForItAndShowsIt) {
    const std::vector<std::string> acquire{
        program("holdfast"), "--server", daemon_.address(), "acquire", "a", "--replicas", "1"};
    Outcome outcome = run_program(acquire);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.output, HasSubstr("replicas: 1 or more have it"));
    std::vector<std::string> json{acquire};
    json.insert(json.begin() + 1, {"-o", "json"});
    json[6] = "b";
    outcome = run_program(json);
    EXPECT_THAT(outcome.output, HasSubstr("\"durability\":\"DURABILITY_REPLICATED\""));
    EXPECT_THAT(outcome.output, HasSubstr("\"replicas\":1"));
}

TEST_F(Strict, EveryGrantIsReplicatedWithoutBeingAskedFor) {
    ASSERT_TRUE(client_.acquire("a", 4s, 20s).ok());
    EXPECT_EQ(client_.lease.replicas(), 1U);
    pair_.cut(true);
    EXPECT_EQ(client_.acquire("b", 2s).reason, "NOT_DURABLE");
    EXPECT_EQ(client_.renew(client_.lease.lease_id(), 4s).reason, "NOT_DURABLE");
    EXPECT_TRUE(ready_page_says("strict: 0 of 1 replicas acknowledge"));
    pair_.cut(false);
    EXPECT_TRUE(ready_page_says("ready\n"));
    EXPECT_TRUE(eventually([&] { return client_.acquire("b", 2s).ok(); }));
}

TEST_F(Strict, AfterALossNothingIsGrantedBeforeAMajorityFollows) {
    pair_.cut(true);
    pair_.primary.run({"FLUSHALL"});
    EXPECT_TRUE(ready_page_says("not known yet that a majority"));
    const auto end = Steady::now() + 6s;  // longer than any lease may last
    EXPECT_TRUE(eventually(
        [&] {
            EXPECT_FALSE(client_.acquire("a", 2s).ok());
            return Steady::now() > end;
        },
        20s));
    EXPECT_TRUE(ready_page_says("not known yet that a majority"));
    const auto followed_at = Steady::now();
    pair_.cut(false);
    EXPECT_TRUE(eventually([&] { return client_.acquire("a", 2s).ok(); }, 20s));
    EXPECT_GE(Steady::now() - followed_at, 4s);
}

TEST_F(Strict, MoreReplicasThanAreConfiguredAreRefused) {
    test::RedisProcess another;
    another.run({"REPLICAOF", "127.0.0.1", std::to_string(pair_.primary.port())});
    EXPECT_TRUE(eventually(
        [&] {
            return http_get(daemon_.http_port(), "/readyz").find("more replicas connected") !=
                   std::string::npos;
        },
        30s));
    EXPECT_EQ(client_.acquire("a", 2s).reason, "STORE_UNAVAILABLE");
}

}  // namespace
}  // namespace holdfast::e2e
