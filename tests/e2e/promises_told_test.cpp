// P3 and P7: what is told to whom, when, and who is served next. The clients here are few and each is
// followed closely; promises_test.cpp has the many.

#include "promises.hpp"

#include <sstream>

namespace holdfast::e2e {
namespace {

using P3 = Promises;
using P7 = Promises;

// Clients with a thread each.
class Clients {
public:
    ~Clients() { join(); }
    template <class Work>
    void start(Work work) {
        threads_.emplace_back(std::move(work));
    }
    void join() {
        for (std::thread& thread : threads_) {
            thread.join();
        }
        threads_.clear();
    }

private:
    std::vector<std::thread> threads_;
};

pb::AcquireRequest request_of(const std::string& name,
                              pb::Mode mode,
                              std::chrono::milliseconds wait) {
    auto request = Client::request(name, 6s, wait);
    request.set_mode(mode);
    if (mode == pb::MODE_PERMIT) {
        request.set_permits(2);
        request.set_limit(3);
    }
    return request;
}

Hold hold_of(const HoldStream& stream, const pb::AcquireRequest& request) {
    Hold hold;
    hold.name = request.name();
    hold.mode = request.mode();
    hold.permits = request.permits();
    hold.limit = request.limit();
    hold.token = stream.lease.fencing_token();
    hold.asked = stream.sent_at;
    hold.granted = Steady::now();
    hold.told = stream.sent_at +
                std::chrono::milliseconds{stream.lease.elapsed_ms() + stream.lease.safe_for_ms()};
    hold.listens = true;
    return hold;
}

// Reads on until LOST: false if the stream ends otherwise.
bool follow_to_loss(HoldStream& stream, Hold& hold, bool& at_risk) {
    const auto note = [&](const auto& told) {
        hold.told =
            stream.sent_at + std::chrono::milliseconds{told.elapsed_ms() + told.safe_for_ms()};
    };
    for (Event kind = stream.next(); kind != Event::EVENT_NOT_SET; kind = stream.next()) {
        if (kind == Event::kRenewed) {
            note(stream.event.renewed().lease());
        } else if (kind == Event::kAtRisk) {
            note(stream.event.at_risk());
            at_risk = true;
        } else if (kind == Event::kLost) {
            hold.lost = Steady::now();
            hold.ended = std::min(*hold.lost, hold.told);
            return true;
        }
    }
    return false;
}

// Daemon two cannot reach Redis; who waits at daemon one is granted what is lost there.
TEST_F(P3, LossIsPushedBeforeTheNextGrant) {
    History history;
    std::atomic<int> held{0};
    std::atomic<int> waiting{0};
    const auto holds = [&](const pb::AcquireRequest& request) {
        Client client{two_.address()};
        HoldStream stream{client, request};
        ASSERT_EQ(stream.next(), Event::kGranted);
        Hold hold = hold_of(stream, request);
        ++held;
        bool at_risk = false;
        EXPECT_TRUE(follow_to_loss(stream, hold, at_risk));
        EXPECT_TRUE(at_risk) << hold.name;
        history.add(hold);
    };
    const auto takes_over = [&](const pb::AcquireRequest& request) {
        Client client{one_.address()};
        HoldStream stream{client, request};
        ASSERT_EQ(stream.next(), Event::kQueued);
        ++waiting;
        ASSERT_TRUE(stream.until(Event::kGranted));
        Hold hold = hold_of(stream, request);
        hold.ended = hold.granted + 1ms;
        history.add(hold);
        EXPECT_TRUE(client.release(stream.lease.lease_id()).ok());
    };
    const auto e = [](auto wait) { return request_of("exclusive", pb::MODE_EXCLUSIVE, wait); };
    const auto p = [](auto wait) { return request_of("permits", pb::MODE_PERMIT, wait); };
    Clients clients;
    clients.start([&] { holds(e(0ms)); });
    clients.start([&] { holds(p(0ms)); });
    clients.start([&] { holds(request_of("shared", pb::MODE_SHARED, 0ms)); });
    clients.start([&] { holds(request_of("shared", pb::MODE_SHARED, 0ms)); });
    ASSERT_TRUE(eventually([&] { return held == 4; }));
    clients.start([&] { takes_over(e(20s)); });
    clients.start([&] { takes_over(p(20s)); });
    clients.start([&] { takes_over(request_of("shared", pb::MODE_EXCLUSIVE, 20s)); });
    ASSERT_TRUE(eventually([&] { return waiting == 3; }));
    gate_.refuse(true);
    gate_.cut();
    clients.join();
    EXPECT_EQ(history.size(), 7U);
    expect_none("losses", history.late_losses(1s));
    expect_none("exclusion and tokens", history.problems());
    gate_.refuse(false);
    expect_nothing_left();
}

int script_calls(const test::RedisProcess& redis) {
    std::istringstream lines{redis.run({"INFO", "commandstats"})};
    int calls = 0;
    for (std::string line; std::getline(lines, line);) {
        const std::string start = "cmdstat_evalsha:calls=";
        if (line.starts_with(start)) {
            calls = std::stoi(line.substr(start.size()));
        }
    }
    return calls;
}

// Waiters come one after the other, at both daemons in turn.
TEST_F(P7, OneWinnerPerReleaseInOrder) {
    constexpr int kWaiters = 16;
    Client first{one_.address()};
    ASSERT_TRUE(first.acquire("a", 6s).ok());
    History history;
    std::atomic<int> queued{0};
    Clients clients;
    const auto waits = [&](int i) {
        Client client{i % 2 == 0 ? one_.address() : two_.address()};
        const auto request = Client::request("a", 6s, 60s);
        HoldStream stream{client, request};
        const auto asked = Steady::now();
        ASSERT_EQ(stream.next(), Event::kQueued);
        const auto told = Steady::now();
        ++queued;
        ASSERT_TRUE(stream.until(Event::kGranted));
        Hold hold = hold_of(stream, request);
        hold.asked = asked;
        hold.queued = told;
        hold.ended = Steady::now();
        EXPECT_TRUE(client.release(stream.lease.lease_id()).ok());
        hold.freed = Steady::now();
        history.add(hold);
        history.add(Wait{"a", i % 2, asked, asked + 60s, hold.granted});
    };
    for (int i = 0; i < kWaiters; ++i) {
        clients.start([&, i] { waits(i); });
        ASSERT_TRUE(eventually([&] { return queued == i + 1; }));
        ASSERT_TRUE(first.renew(first.lease.lease_id(), 6s).ok());
        during(150ms);  // more than the daemons' clocks of Redis are apart
    }
    const int calls_before = script_calls(redis_);
    const auto released = Steady::now();
    first.release(first.lease.lease_id());
    clients.join();
    const auto seconds = std::chrono::duration<double>(Steady::now() - released).count();
    const int calls = script_calls(redis_) - calls_before;
    std::cout << kWaiters << " hand-ons in " << seconds << " s by " << calls << " scripts\n";
    // Each is released, and acquired if it is at the other daemon; each daemon polls, and looks after
    // the canary, each second. A herd would be kWaiters * kWaiters / 2.
    EXPECT_LE(calls, 3 * kWaiters + 8 * (1 + seconds));
    EXPECT_EQ(history.size(), static_cast<std::size_t>(kWaiters));
    expect_none("order", history.overtakings(120ms));
    expect_none("exclusion and tokens", history.problems());
    // By polls, each second, it would be half of the hand-ons. (The machine may stand still for one or two.)
    EXPECT_LE(history.idle_locks(700ms).size(), 2U);
    expect_nothing_left();
}

// The safety poll (1 s, +-20 %) catches what pub/sub loses.
TEST_F(P7, WhoeverWaitsIsServedWhilePubSubIsDropped) {
    auto how = options();
    how.leaves_one_in = 0;
    how.long_one_in = 0;
    how.wait = 20s;
    MixedLoad load{daemons(), how};
    const auto end = Steady::now() + 4s;
    while (Steady::now() < end) {
        redis_.run({"CLIENT", "KILL", "TYPE", "pubsub"});
        during(10ms);
    }
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
    expect_none("answers", load.history.late_answers(3s));
    expect_none("idle", load.history.idle_locks(3s));
    EXPECT_GT(load.count("granted") + load.count("granted on a stream"), 20);
    EXPECT_EQ(load.count("LOCK_HELD"), 0) << "everybody had their turn";
}

}  // namespace
}  // namespace holdfast::e2e
