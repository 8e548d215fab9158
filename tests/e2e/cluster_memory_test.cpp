// What the primaries of a Cluster forget is not granted anew by another primary, nor by another daemon.

#include "cluster_fixture.hpp"
#include "redis/server_info.hpp"

namespace holdfast::e2e {
namespace {

TEST_F(PartialCluster, ASlotOnItsWayFromAPrimaryThatLostItsMemoryIsNotGrantedByTheOther) {
    const std::string held = "{half}held";
    const redis::Slot slot = redis::slot_of("hf:" + held);
    const std::size_t from = cluster_.owner("hf:" + held);
    const std::size_t to = (from + 1) % 3;
    Keeper kept{one_.address(), held, kMaxTtl};
    cluster_.begin_move(slot, from, to);
    cluster_.node(from).restart_empty();  // the slot is still on its way
    const Time restarted = Steady::now();
    Client client{two_.address()};
    Answer got;
    int tries = 0;
    const auto is_served = [&] {
        got = client.acquire("{half}" + std::to_string(++tries), 1s);
        return got.ok() || got.reason == "RECOVERING";
    };
    ASSERT_TRUE(eventually(is_served, kPatience)) << got.status.error_message();
    EXPECT_EQ(got.reason, "RECOVERING") << "any of its locks may be held";
    // The holder's is put back at the other, which is asked for what the first has not.
    ASSERT_TRUE(kept.awaits({Event::kRenewed, Event::kRecovered, Event::kLost}, restarted));
    EXPECT_FALSE(kept.heard({Event::kLost}));
    ASSERT_TRUE(client.get(held).ok());
    EXPECT_EQ(client.lock.holders(0).fencing_token(), kept.token);
    EXPECT_TRUE(eventually([&] { return client.acquire("{half}late", 1s, 12s).ok(); }, kPatience));
    EXPECT_GE(Steady::now() - restarted, kMaxTtl);
    EXPECT_FALSE(kept.heard({Event::kLost}));
}

// The lost primary has the slot that comes first in the order in which a canary's is chosen: for a daemon that
// comes later, the canary of who has taken over is there.
TEST_F(PartialCluster, ADaemonThatStartsAfterALossKnowsOfItAsTheOthersDo) {
    constexpr std::size_t kLost = 2;
    constexpr std::size_t kHeir = 1;
    ASSERT_EQ(cluster_.owner("x{" + redis::tag_for(15673) + "}"), kLost);
    const std::string name = name_at(kLost, "held");
    // Long enough to be as good as new, for who sees nothing else of it.
    const auto has_been_up = [&] {
        const std::string info = cluster_.run(kHeir, {"INFO", "server"});
        return std::stoi(std::string{redis::InfoFields{info}["uptime_in_seconds"]}) >
               kMaxTtl.count() + 1;
    };
    ASSERT_TRUE(eventually(has_been_up, kPatience));
    Client client{one_.address()};
    ASSERT_TRUE(client.acquire(name, kMaxTtl).ok());
    cluster_.node(kLost + 3).process().kill_and_wait();  // its replica
    cluster_.node(kLost).process().kill_and_wait();
    cluster_.give_slots_of_lost(kLost, kHeir);
    ASSERT_TRUE(
        eventually([&] { return client.acquire(name, 1s).reason == "RECOVERING"; }, kPatience));
    auto environment = settings();
    environment["HOLDFAST_STORE_ASSUME_NEW"] = "false";
    Daemon three{{"--store", cluster_.url()}, environment};
    Client late{three.address()};
    Answer got;
    const auto is_served = [&] {
        got = late.acquire(name, 1s);
        return got.ok() || got.reason == "RECOVERING";
    };
    ASSERT_TRUE(eventually(is_served, kPatience)) << got.status.error_message();
    EXPECT_EQ(got.reason, "RECOVERING") << "the lost primary's lease has not ended";
    EXPECT_TRUE(eventually([&] { return late.acquire(name, 1s, 12s).ok(); }, kPatience));
}

}  // namespace
}  // namespace holdfast::e2e
