// Two daemons on a Redis Cluster: any lock anywhere, and what they make of what its nodes suffer.

#include "cluster_fixture.hpp"
#include "steadily.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <sstream>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAreArray;

std::multiset<std::string> names(Client& client, const std::string& prefix) {
    std::multiset<std::string> found;
    pb::ListLocksRequest request;
    request.set_prefix(prefix);
    request.set_page_size(10);
    do {
        grpc::ClientContext context;
        pb::ListLocksResponse response;
        const auto status = client.stub().ListLocks(&context, request, &response);
        EXPECT_TRUE(status.ok()) << status.error_message();
        for (const auto& lock : response.locks()) {
            found.insert(lock.name());
        }
        request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return found;
}

TEST_F(Cluster, ServesAnyNameOnAnyNode) {
    Client client{one_.address()};
    Client other{two_.address()};
    const std::vector<std::string> odd{
        "}x", "{}a", "a{b}c", "{", "}", "{}", "{a", "a}b{c}d", "{{x}}", "\xc3\xa4{\xc3\xb6}", " "};
    for (const std::string& name : odd) {
        const Answer got = client.acquire(name, 8s);
        ASSERT_TRUE(got.ok()) << name << ": " << got.status.error_message();
        const std::uint64_t token = client.lease.fencing_token();
        EXPECT_EQ(other.acquire(name, 2s).reason, "LOCK_HELD") << name;
        EXPECT_TRUE(other.renew(client.lease.lease_id(), 8s).ok()) << name;
        ASSERT_TRUE(other.get(name).ok()) << name;
        EXPECT_EQ(other.lock.holders(0).fencing_token(), token);
        ASSERT_TRUE(other.release(client.lease.lease_id()).ok()) << name;
        ASSERT_TRUE(other.acquire(name, 2s).ok()) << name;
        EXPECT_GT(other.lease.fencing_token(), token) << name;
        EXPECT_TRUE(client.release(other.lease.lease_id()).ok());
    }
    std::set<std::size_t> owners;
    std::multiset<std::string> taken;
    for (int i = 0; i < 60; ++i) {
        const std::string name = "listed" + std::to_string(i);
        ASSERT_TRUE(client.acquire(name, 8s).ok());
        taken.insert(name);
    }
    EXPECT_THAT(names(other, "listed"), UnorderedElementsAreArray(taken));
    for (const std::string& name : taken) {
        owners.insert(cluster_.owner("hf:" + name));
    }
    EXPECT_EQ(owners.size(), 3U);
}

TEST_F(Cluster, HandsLocksOnAcrossNodesAndDaemons) {
    // The stations, and each lock, are on one node each; the inboxes on any.
    for (std::size_t node = 0; node < 3; ++node) {
        const std::string name = name_at(node);
        Client holder{one_.address()};
        ASSERT_TRUE(holder.acquire(name, 4s).ok());
        Client waiter{two_.address()};
        Answer got;
        Time when;
        std::thread waiting{[&] {
            got = waiter.acquire(name, 4s, 10s);
            when = Steady::now();
        }};
        Client watcher{two_.address()};
        EXPECT_TRUE(
            eventually([&] { return watcher.get(name).ok() && watcher.lock.waiting() == 1; }));
        const Time released = Steady::now();
        EXPECT_TRUE(holder.release(holder.lease.lease_id()).ok());
        waiting.join();
        EXPECT_TRUE(got.ok()) << got.status.error_message();
        EXPECT_LT(when - released, 500ms) << "told by message, not found by a poll";
    }
}

TEST_F(Cluster, AWatchTellsOfLocksOnAllNodes) {
    Client watcher{two_.address()};
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    pb::WatchRequest request;
    request.set_prefix("at");
    const auto stream = watcher.stub().Watch(&context, request);
    pb::WatchEvent event;
    while (stream->Read(&event) && !event.has_snapshot_end()) {
    }
    Client client{one_.address()};
    for (std::size_t node = 0; node < 3; ++node) {
        const std::string name = name_at(node);
        ASSERT_TRUE(client.acquire(name, 8s).ok());
        while (stream->Read(&event) && event.changed().name() != name) {
        }
        EXPECT_EQ(event.changed().name(), name);
    }
    context.TryCancel();
    stream->Finish();
}

TEST_F(Cluster, APrimaryIsKilledUnderLoad) {
    MixedLoad load{{one_.address(), two_.address()}, {}};
    const std::string name = name_at(0, "kept");
    const std::string elsewhere = name_at(1, "elsewhere");
    Keeper kept{one_.address(), name, kMaxTtl};
    Keeper others{two_.address(), elsewhere, 4s};
    during(1s);
    cluster_.node(0).process().kill_and_wait();
    EXPECT_TRUE(eventually(
        [&] { return ready_page(one_).find(cluster_.address(0)) != std::string::npos; }));
    const std::size_t to = cluster_.await_other_owner("hf:" + name, 0);
    const Time switched = Steady::now();
    ASSERT_NO_FATAL_FAILURE(expect_kept(kept, name, to, switched));
    EXPECT_FALSE(others.heard({Event::kLost}));
    // New grants wait where leases may be forgotten, and there only.
    Client client{two_.address()};
    EXPECT_TRUE(eventually([&] { return client.acquire(name_at(1, "free"), 1s).ok(); }));
    EXPECT_EQ(Client{one_.address()}.acquire(name_at(to, "free"), 1s).reason, "RECOVERING");
    EXPECT_TRUE(
        eventually([&] { return client.acquire(name_at(to, "free"), 1s, 12s).ok(); }, kPatience));
    EXPECT_GE(Steady::now() - switched, kMaxTtl - 1s);
    during(500ms);
    load.stop();
    expect_good(load);
    EXPECT_FALSE(kept.heard({Event::kLost}));
}

TEST_F(Cluster, AFailoverByHandLosesNoLease) {
    const std::string name = name_at(0, "kept");
    Keeper kept{one_.address(), name, kMaxTtl};
    ASSERT_EQ(cluster_.run(3, {"CLUSTER", "FAILOVER"}), "OK");
    EXPECT_EQ(cluster_.await_other_owner("hf:" + name, 0), 3U);
    const Time switched = Steady::now();
    ASSERT_NO_FATAL_FAILURE(expect_kept(kept, name, 3, switched));
    // Nobody can know that nothing is lost.
    expect_recovering(two_.address(), name_at(3, "free"));
    Client client{two_.address()};
    EXPECT_TRUE(
        eventually([&] { return client.acquire(name_at(3, "free"), 1s, 12s).ok(); }, kPatience));
}

TEST_F(Cluster, SlotsAreMovedUnderLoadWithoutAFailedCall) {
    Keeper kept{one_.address(), "kept", kMaxTtl};
    Steadily one{one_.address()};
    Steadily two{two_.address()};
    EXPECT_EQ(cluster_.reshard(0, 1, 300), "");
    EXPECT_EQ(cluster_.reshard(1, 2, 300), "");
    const int moved = one.taken;
    EXPECT_TRUE(eventually([&] { return one.taken > moved + 100; }, kPatience));
    one.stop();
    two.stop();
    std::cout << one.taken + two.taken << " locks taken\n";
    EXPECT_THAT(one.failed, testing::IsEmpty());
    EXPECT_THAT(two.failed, testing::IsEmpty());
    EXPECT_FALSE(kept.heard({Event::kAtRisk, Event::kLost}));
}

TEST_F(Cluster, ANodeIsAddedAndServesAtOnce) {
    const std::size_t added = cluster_.add_node();
    // Each daemon has to see it while it is empty: then it is known to be new.
    const auto connected = [&] {
        const std::string clients = cluster_.run(added, {"CLIENT", "LIST"});
        std::size_t daemons = 0;
        for (auto at = clients.find("name=holdfastd"); at != std::string::npos;
             at = clients.find("name=holdfastd", at + 1)) {
            ++daemons;
        }
        return daemons >= 2;
    };
    ASSERT_TRUE(eventually(connected, kPatience));
    during(2500ms);  // every node is asked for its view by then
    Steadily one{one_.address()};
    EXPECT_EQ(cluster_.reshard(0, added, 500), "");
    one.stop();
    EXPECT_THAT(one.failed, testing::IsEmpty());
    Client client{two_.address()};
    EXPECT_EQ(client.acquire(name_at(added), 1s).reason, "");
    EXPECT_THAT(ready_page(one_), HasSubstr("200 OK"));
}

TEST_F(Cluster, ASlotThatIsHalfMovedIsServed) {
    const std::string held = "{half}held";
    const redis::Slot slot = redis::slot_of("hf:" + held);
    const std::size_t from = cluster_.owner("hf:" + held);
    const std::size_t to = (from + 1) % 3;
    const auto same_slot = [&](const std::string& begin) { return begin + "{half}"; };
    Client client{one_.address()};
    ASSERT_TRUE(client.acquire(held, 8s).ok());
    const auto lease = client.lease;
    cluster_.begin_move(slot, from, to);
    // Of a key that is there, the old node decides; of another, the new one.
    EXPECT_EQ(Client{two_.address()}.acquire(held, 2s).reason, "LOCK_HELD");
    ASSERT_EQ(redis::slot_of("hf:" + same_slot("fresh")), slot);
    cluster_.run(to, {"SCRIPT", "FLUSH"});
    ASSERT_TRUE(client.acquire(same_slot("fresh"), 8s).ok()) << "ASK, then NOSCRIPT";
    EXPECT_EQ(Client{two_.address()}.acquire(same_slot("fresh"), 2s).reason, "LOCK_HELD");
    EXPECT_EQ(cluster_.run(to, {"CLUSTER", "COUNTKEYSINSLOT", std::to_string(slot)}), "1");
    cluster_.move_keys(slot, from, to);
    EXPECT_EQ(Client{two_.address()}.acquire(held, 2s).reason, "LOCK_HELD");
    EXPECT_TRUE(client.renew(lease.lease_id(), 8s).ok());
    cluster_.end_move(slot, from, to);
    EXPECT_EQ(Client{two_.address()}.acquire(held, 2s).reason, "LOCK_HELD");
    EXPECT_TRUE(client.release(lease.lease_id()).ok());
    EXPECT_TRUE(Client{two_.address()}.acquire(held, 1s).ok());
}

// The words of the rule in config/tls.toml, so that it cannot become wrong.
std::vector<std::string> documented_user() {
    std::vector<std::string> rule{"ACL",
                                  "SETUSER",
                                  "holdfast",
                                  "on",
                                  ">secret",
                                  "resetkeys",
                                  "-@all",
                                  "~hf:*",
                                  "~holdfast:*",
                                  "&holdfast:*"};
    std::istringstream lines{test::read_file(test::source_file("config/tls.toml"))};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words{line.substr(std::min<std::size_t>(line.size(), 1))};
        for (std::string word; words >> word && word.starts_with('+');) {
            rule.push_back(word);
        }
    }
    return rule;
}

TEST_F(Cluster, TheDocumentedUserMayDoAllThatIsNeeded) {
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
        ASSERT_EQ(cluster_.run(i, documented_user()), "OK");
    }
    auto environment = settings();
    environment["HOLDFAST_STORE_USERNAME"] = "holdfast";
    environment["HOLDFAST_STORE_PASSWORD"] = "secret";
    Daemon three{{"--store", cluster_.url()}, environment};
    Client client{three.address()};
    const redis::Slot slot = redis::slot_of("hf:{half}");
    const std::size_t from = cluster_.owner("hf:{half}");
    cluster_.begin_move(slot, from, (from + 1) % 3);
    ASSERT_TRUE(client.acquire("{half}fresh", 8s).ok()) << "ASK";
    for (std::size_t node = 0; node < 3; ++node) {
        ASSERT_TRUE(client.acquire(name_at(node), 2s).ok());
        ASSERT_TRUE(client.release(client.lease.lease_id()).ok());
    }
    EXPECT_EQ(names(client, "{half}").size(), 1U);
    EXPECT_THAT(ready_page(three), HasSubstr("200 OK"));
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
        EXPECT_EQ(cluster_.run(i, {"ACL", "LOG"}), "");
    }
}

TEST_F(Cluster, AWholeSetAcrossNodesIsTakenAndGivenBack) {
    Client client{one_.address()};
    pb::AcquireAllRequest request;
    for (std::size_t node = 0; node < 3; ++node) {
        request.add_names(name_at(node, "set"));
    }
    request.set_ttl_ms(5000);
    pb::AcquireAllResponse response;
    {
        grpc::ClientContext context;
        const auto status = client.stub().AcquireAll(&context, request, &response);
        ASSERT_TRUE(status.ok()) << status.error_message();
    }
    EXPECT_EQ(response.leases_size(), 3);
    for (const auto& name : request.names()) {
        EXPECT_EQ(Client{two_.address()}.acquire(name, 2s).reason, "LOCK_HELD");
    }
    one_.kill_and_restart();
    for (const auto& name : request.names()) {
        EXPECT_TRUE(Client{two_.address()}.acquire(name, 1s, 15s).ok()) << "gone with its ttl";
    }
}

TEST_F(PartialCluster, OnlyTheLocksOfALostPrimaryFail) {
    const std::string lost = name_at(0);
    const std::string good = name_at(1);
    cluster_.node(0).process().kill_and_wait();
    Client client{one_.address()};
    EXPECT_TRUE(eventually([&] {
        const std::string page = ready_page(one_);
        return page.find("200 OK") != std::string::npos &&
               page.find("warning: store: " + cluster_.address(0)) != std::string::npos;
    })) << ready_page(one_);
    EXPECT_EQ(client.acquire(lost, 1s).reason, "STORE_UNAVAILABLE");
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(client.acquire(good, 1s).ok());
        ASSERT_TRUE(client.release(client.lease.lease_id()).ok());
    }
    // Back, and empty: what was held there may have been forgotten.
    cluster_.node(0).restart_empty();
    EXPECT_TRUE(eventually([&] { return client.acquire(lost, 1s).reason == "RECOVERING"; }));
    EXPECT_TRUE(client.acquire(lost, 1s, 15s).ok());
}

TEST_F(Cluster, AFlushedPrimaryIsNoticedWithinASecondOrSo) {
    const std::string name = name_at(0, "kept");
    Keeper kept{one_.address(), name, kMaxTtl};
    ASSERT_EQ(cluster_.run(0, {"FLUSHALL"}), "OK");
    const Time flushed = Steady::now();
    EXPECT_TRUE(eventually(
        [&] {
            return Client{two_.address()}.acquire(name_at(0, "free"), 1s).reason == "RECOVERING";
        },
        5s));
    ASSERT_NO_FATAL_FAILURE(expect_kept(kept, name, 0, flushed));
}

}  // namespace
}  // namespace holdfast::e2e
