// The promises P1 to P7 (README), each under the faults that could break it: real Redis, two daemons,
// clients of every kind. Checked from what the clients saw, and from what stands in Redis at the end.

#include "promises.hpp"

namespace holdfast::e2e {
namespace {

using P1 = Promises;
using P2 = Promises;
using P4 = Promises;
using P5 = Promises;
using P6 = Promises;

TEST_F(Promises, TheLookIntoRedisFindsWhatIsLeft) {
    Client client{one_.address()};
    const auto take = [&](pb::Mode mode) {
        auto request = Client::request("a", 5s);
        request.set_mode(mode);
        return client.acquire(request).ok();
    };
    EXPECT_EQ(who_is_left(), "nobody");
    for (const auto& [mode, found] : {std::pair{pb::MODE_EXCLUSIVE, "hf:a has a holder"},
                                      std::pair{pb::MODE_SHARED, "hf:a has a shared holder"}}) {
        ASSERT_TRUE(take(mode));
        EXPECT_EQ(who_is_left(), found);
        ASSERT_TRUE(client.release(client.lease.lease_id()).ok());
        EXPECT_EQ(who_is_left(), "nobody");
    }
    ASSERT_TRUE(take(pb::MODE_EXCLUSIVE));
    HoldStream waits{client, Client::request("a", 5s, 20s)};
    ASSERT_EQ(waits.next(), Event::kQueued);
    redis_.run({"HSET", "hf:a", "i", ""});
    EXPECT_EQ(who_is_left(), "hf:a has a ticket");
    redis_.run({"PERSIST", "hf:a"});
    EXPECT_EQ(who_is_left(), "hf:a has no ttl");
}

TEST_F(P1, TokensGrowAcrossKilledDaemonsAndALostMemory) {
    MixedLoad load{daemons(), options()};
    during(700ms);
    two_.kill_and_restart();
    during(700ms);
    redis_.run({"FLUSHALL"});
    expect_service_again();
    redis_.run({"SCRIPT", "FLUSH"});
    one_.kill_and_restart();
    during(700ms);
    expect_safe(load);
    EXPECT_GT(load.history.size(), 20U);
}

TEST_F(P2, NothingIsHeldPastTheDeadlineAfterAPause) {
    Client at_one{one_.address()};
    Client at_two{two_.address()};
    MixedLoad load{daemons(), options()};
    HoldStream hold{at_two, Client::request("a", 1s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    ASSERT_TRUE(at_two.acquire("taken", 1s).ok());
    const std::string taken = at_two.lease.lease_id();
    ASSERT_TRUE(at_two.acquire("not taken", 1s).ok());
    const std::string not_taken = at_two.lease.lease_id();
    during(500ms);
    pause_two(load.history);
    for (const char* name : {"a", "taken"}) {  // they have expired meanwhile
        const Answer answer = at_one.acquire(name, 1s, 10s);
        ASSERT_TRUE(answer.ok()) << answer.reason << ": " << answer.status.error_message();
    }
    EXPECT_EQ(at_two.renew(taken, 1s).reason, "LEASE_LOST");
    EXPECT_EQ(at_two.renew(not_taken, 1s).reason, "LEASE_LOST") << "it is not revived";
    const auto resumed = Steady::now();
    for (Event kind = hold.next(); kind != Event::EVENT_NOT_SET; kind = hold.next()) {
        if (kind == Event::kRenewed) {  // sent before the pause
            const auto& lease = hold.event.renewed().lease();
            EXPECT_LT(
                hold.sent_at + std::chrono::milliseconds{lease.elapsed_ms() + lease.safe_for_ms()},
                resumed);
        } else {
            EXPECT_TRUE(kind == Event::kLost || kind == Event::kAtRisk) << kind;
        }
    }
    EXPECT_EQ(hold.finish().reason, "LEASE_LOST");
    at_one.release(at_one.lease.lease_id());
    pause_two(load.history);
    during(500ms);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

TEST_F(P2, EveryDeadlineThatWasToldIsKept) {
    auto how = options();
    how.ttl = 4s;
    how.long_one_in = 4;
    MixedLoad load{daemons(), how};
    during(5s);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
    expect_none("losses", load.history.late_losses(3s));
    expect_none("answers", load.history.late_answers(3s));
    EXPECT_EQ(load.count("lost"), 0) << "nothing went wrong";
    EXPECT_GT(load.count("renewed"), 0);
}

// Holders that vanish with their process, and waiters.
TEST_F(P4, NothingStaysBehindAKilledClient) {
    const auto run = [](const Daemon& daemon, const std::string& wait) {
        return test::Process{{program("holdfast"),
                              "--server",
                              daemon.address(),
                              "run",
                              "a",
                              "--ttl",
                              "2s",
                              "--wait",
                              wait,
                              "--",
                              "sleep",
                              "60"}};
    };
    Client client{one_.address()};
    test::Process holder = run(one_, "0s");
    ASSERT_TRUE(eventually([&] { return client.get("a").ok(); }));
    test::Process waiter = run(two_, "60s");
    ASSERT_TRUE(eventually([&] { return client.get("a").ok() && client.lock.waiting() == 1; }));
    waiter.kill_and_wait();
    const auto left = Steady::now();
    EXPECT_TRUE(eventually([&] { return client.get("a").ok() && client.lock.waiting() == 0; }));
    EXPECT_LT(Steady::now(), left + 2s) << "not by the end of its ticket";
    holder.kill_and_wait();
    const auto killed = Steady::now();
    ASSERT_TRUE(client.acquire("a", 1s, 20s).ok());
    EXPECT_LT(Steady::now(), killed + 8s) << "a ttl and its guard";
    client.release(client.lease.lease_id());
    expect_nothing_left();
}

TEST_F(P4, NothingStaysBehindManyWhoLeave) {
    auto how = options();
    how.leaves_one_in = 2;
    MixedLoad load{daemons(), how};
    during(1s);
    load.stop();
    const auto stopped = Steady::now();
    EXPECT_TRUE(eventually([&] { return who_is_left() == "nobody"; }));
    EXPECT_LT(Steady::now(), stopped + 5s) << "a ttl and its guard";
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

// Daemon two's commands are carried out, and their replies are lost.
TEST_F(P5, ALostReplyIsNeitherBusyNorGrantedAndLeavesNothing) {
    Client at_one{one_.address()};
    Client at_two{two_.address()};
    auto request = Client::request("a", 4s);
    request.set_request_id(std::string(32, 'a'));
    ASSERT_TRUE(at_two.acquire("b", 1s).ok());  // Redis has the script
    ASSERT_TRUE(at_two.release(at_two.lease.lease_id()).ok());
    gate_.drop_replies(true);
    Answer first;
    std::thread lost{[&] { first = at_two.acquire(request); }};
    EXPECT_TRUE(eventually([&] { return at_one.get("a").ok(); }));
    const std::uint64_t token = at_one.lock.newest_token();
    EXPECT_EQ(at_one.acquire("a", 1s).reason, "LOCK_HELD");
    EXPECT_TRUE(at_one.acquire(request).ok()) << "a retry elsewhere gets the same lease";
    EXPECT_EQ(at_one.lease.fencing_token(), token);
    lost.join();
    EXPECT_EQ(first.reason, "OUTCOME_UNKNOWN");
    gate_.drop_replies(false);
    gate_.cut();  // what follows a lost reply would be taken for it
    Client other{one_.address()};
    EXPECT_TRUE(other.acquire("a", 2s, 20s).ok()) << "it ends with its ttl";
    EXPECT_GE(Steady::now(), at_one.believe_until()) << "the clean-up took the retry's lease";
    EXPECT_GT(other.lease.fencing_token(), token);
    other.release(other.lease.lease_id());
    expect_nothing_left();
}

// Long before the lease that it brought would have ended.
TEST(P5Unknown, WhatALostReplyMayHaveBroughtIsUndone) {
    const test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Daemon one{{"--store", redis.url()}};
    Daemon two{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())},
               {{"HOLDFAST_STORE_COMMAND_TIMEOUT", "200ms"}}};
    Client at_one{one.address()};
    Client at_two{two.address()};
    ASSERT_TRUE(at_two.acquire("b").ok());  // Redis has the script
    gate.drop_replies(true);
    EXPECT_EQ(at_two.acquire("a", 30s).reason, "OUTCOME_UNKNOWN");
    EXPECT_TRUE(at_one.get("a").ok()) << "it was carried out";
    gate.drop_replies(false);
    gate.cut();
    EXPECT_TRUE(at_one.acquire("a", 1s, 15s).ok());
}

TEST_F(P5, UnknownOutcomesUnderLoad) {
    MixedLoad load{daemons(), options()};
    for (int round = 0; round < 3; ++round) {
        during(300ms);
        gate_.drop_replies(true);
        during(300ms);
        gate_.drop_replies(false);
        gate_.cut();
    }
    during(500ms);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

TEST_F(P6, ADaemonKilledLosesNoLease) {
    constexpr int kLeases = 10;
    Client at_one{one_.address()};
    Client at_two{two_.address()};
    std::vector<pb::Lease> leases;
    std::vector<std::unique_ptr<HoldStream>> streams;
    for (int i = 0; i < kLeases; ++i) {
        const auto name = "unary " + std::to_string(i);
        ASSERT_TRUE(at_two.acquire(name, 6s).ok());
        leases.push_back(at_two.lease);
        streams.push_back(std::make_unique<HoldStream>(
            at_two, Client::request("stream " + std::to_string(i), 6s)));
        ASSERT_EQ(streams.back()->next(), Event::kGranted);
    }
    two_.kill_and_restart();
    for (const pb::Lease& lease : leases) {
        ASSERT_TRUE(at_one.renew(lease.lease_id(), 6s).ok()) << lease.name();
        EXPECT_EQ(at_one.lease.fencing_token(), lease.fencing_token());
        EXPECT_TRUE(at_one.release(lease.lease_id()).ok());
        EXPECT_EQ(at_one.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    }
    for (const auto& stream : streams) {
        EXPECT_EQ(stream->next(), Event::EVENT_NOT_SET) << "it broke";
        pb::AcquireRequest request;
        request.set_resume_lease_id(stream->lease.lease_id());
        HoldStream resumed{at_one, request};
        ASSERT_EQ(resumed.next(), Event::kGranted);
        EXPECT_EQ(resumed.lease.fencing_token(), stream->lease.fencing_token());
        at_one.release(stream->lease.lease_id());
        EXPECT_TRUE(resumed.until(Event::kReleased));
    }
    expect_nothing_left();
}

TEST_F(P6, DaemonsKilledUnderLoadLoseNoLease) {
    auto how = options();
    how.long_one_in = 4;
    MixedLoad load{daemons(), how};
    for (Daemon* daemon : {&two_, &one_}) {
        during(700ms);
        daemon->kill_and_restart();
    }
    during(1s);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

// Exclusion is kept, and service is back by itself.
TEST_F(P6, ALostMemoryUnderLoadWhileADaemonIsKilled) {
    MixedLoad load{daemons(), options()};
    during(500ms);
    redis_.restart_empty();
    during(300ms);
    two_.kill_and_restart();
    expect_service_again();
    during(500ms);
    expect_safe(load);
    EXPECT_GT(load.count("RECOVERING"), 0);
}

// All faults, one after the other, on one load.
TEST_F(Promises, HoldThroughEveryFaultInTurn) {
    MixedLoad load{daemons(), options()};
    const auto each = 400ms;
    during(each);
    two_.kill_and_restart();
    during(each);
    pause_two(load.history);
    during(each);
    gate_.refuse(true);
    gate_.cut();
    during(1700ms);
    gate_.refuse(false);
    for (int i = 0; i < 5; ++i) {
        redis_.run({"CLIENT", "KILL", "TYPE", "pubsub"});
        during(100ms);
    }
    redis_.process().stop();
    during(1500ms);
    redis_.process().resume();
    during(1s);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

}  // namespace
}  // namespace holdfast::e2e
