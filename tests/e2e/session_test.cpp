// Session: many leases on one stream.

#include "session_stream.hpp"

#include <algorithm>
#include <csignal>
#include <set>

namespace holdfast::e2e {
namespace {

// The reason of an operation's error.
std::string reason(const pb::OperationResult& result) {
    if (!result.has_error()) {
        return "no error";
    }
    google::rpc::ErrorInfo info;
    result.error().details(0).UnpackTo(&info);
    return info.reason();
}

class SessionTest : public testing::Test {
protected:
    static std::string name(int i) { return "lock " + std::to_string(i); }

    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}, {{"HOLDFAST_SERVER_SHARDS", "2"}}};
    Client client_{daemon_.address()};
    Client other_{daemon_.address()};
};

TEST_F(SessionTest, ABatchIsTakenRenewedAndReleased) {
    constexpr int kLocks = 500;
    SessionStream session{client_};
    for (int i = 0; i < kLocks; ++i) {
        session.acquire(Client::request(name(i), 3s));
    }
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.read_until([&] { return session.results.size() == kLocks; }));
    EXPECT_LT(session.messages, kLocks / 2U) << "results leave in batches";
    std::set<std::string> ids;
    for (const auto& [id, result] : session.results) {
        ASSERT_TRUE(result.has_acquire()) << result.ShortDebugString();
        EXPECT_EQ(result.acquire().lease().name(), name(static_cast<int>(id) - 1));
        ids.insert(result.acquire().lease().lease_id());
    }
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(kLocks));
    // Beyond the ttl: the daemon renews, and says so.
    std::map<std::string, int> renewed;
    ASSERT_TRUE(session.read_until([&] {
        for (const auto& event : session.events) {
            EXPECT_FALSE(event.has_lost()) << event.ShortDebugString();
            renewed[event.lease_id()] += event.has_renewed() ? 1 : 0;
        }
        session.events.clear();
        return std::count_if(renewed.begin(), renewed.end(), [](const auto& one) {
                   return one.second >= 4;
               }) == kLocks;
    }));
    session.message().mutable_ping()->set_id(7);
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.read_until([&] { return session.pong.id() == 7; }));
    EXPECT_EQ(session.pong.leases_size(), kLocks);
    for (const auto& lease : session.pong.leases()) {
        EXPECT_EQ(lease.anchor(), session.pong.anchor());
        EXPECT_LE(lease.elapsed_ms(), 500U);
        EXPECT_LE(lease.safe_for_ms(), 3000U);
    }
    session.results.clear();
    for (const auto& id : ids) {
        session.release(id);
    }
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.read_until([&] { return session.results.size() == kLocks; }));
    for (const auto& [id, result] : session.results) {
        EXPECT_EQ(result.release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    }
    for (const auto& event : session.events) {
        EXPECT_FALSE(event.has_released() || event.has_lost())
            << "its own releases are told by their results alone";
    }
    EXPECT_EQ(daemon_.sample("holdfast_leases"), 0);
}

// More than what a gRPC client takes in one message would be, if there were enough of them.
TEST_F(SessionTest, APongOfManyLeasesComesInSeveralMessages) {
    constexpr int kLocks = 2500;
    SessionStream session{client_};
    std::set<std::string> ids;
    for (int i = 0; i < kLocks;) {
        for (const int end = i + 500; i < end; ++i) {
            session.acquire(Client::request(name(i), 20s));
        }
        ASSERT_TRUE(session.send());
        ASSERT_TRUE(session.read_until(
            [&] { return session.results.size() == static_cast<std::size_t>(i); }));
    }
    for (const auto& [id, result] : session.results) {
        ids.insert(result.acquire().lease().lease_id());
    }
    session.message().mutable_ping()->set_id(7);
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.read_until([&] { return !session.pongs.empty() && !session.pong.more(); }));
    ASSERT_EQ(session.pongs.size(), 3U);
    std::set<std::string> shown;
    for (const auto& pong : session.pongs) {
        EXPECT_EQ(pong.id(), 7U);
        EXPECT_EQ(pong.anchor(), session.pong.anchor());
        EXPECT_EQ(pong.more(), &pong != &session.pongs.back());
        EXPECT_LE(pong.leases_size(), 1000);
        for (const auto& lease : pong.leases()) {
            EXPECT_EQ(lease.anchor(), pong.anchor());
            EXPECT_TRUE(shown.insert(lease.lease_id()).second) << "twice";
        }
    }
    EXPECT_EQ(shown, ids);
}

TEST_F(SessionTest, AWaitingAcquireIsGrantedOrCancelled) {
    ASSERT_TRUE(other_.acquire("a").ok());
    SessionStream session{client_};
    const auto first = session.acquire(Client::request("a", 5s, 30s));
    const auto second = session.acquire(Client::request("a", 5s, 30s));
    const auto third = session.acquire(Client::request("a"));
    ASSERT_TRUE(session.send());
    EXPECT_EQ(reason(session.result(third)), "LOCK_HELD");
    session.add().mutable_cancel()->set_operation_id(first);
    session.add().mutable_cancel()->set_operation_id(12345);
    ASSERT_TRUE(session.send());
    EXPECT_TRUE(session.result(4).cancelled());
    EXPECT_FALSE(session.result(5).cancelled());
    EXPECT_EQ(reason(session.result(first)), "CANCELLED");
    other_.release(other_.lease.lease_id());
    EXPECT_TRUE(session.result(second).has_acquire());
}

TEST_F(SessionTest, ABrokenSessionLeavesWhatOnDisconnectSays) {
    ASSERT_TRUE(other_.acquire("waited for", 30s).ok());
    const std::string held_by_other = other_.lease.lease_id();
    {
        SessionStream session{client_};
        auto now = Client::request("now", 30s);
        now.set_on_disconnect(pb::ON_DISCONNECT_RELEASE_NOW);
        auto keep = Client::request("keep", 30s);
        session.acquire(now);
        session.acquire(keep);
        session.acquire(Client::request("waited for", 30s, 60s));
        ASSERT_TRUE(session.send());
        ASSERT_TRUE(session.result(1).has_acquire());
        ASSERT_TRUE(session.result(2).has_acquire());
        ASSERT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 1; }));
    }
    EXPECT_TRUE(other_.acquire("now", 1s, 5s).ok());
    EXPECT_FALSE(other_.acquire("keep").ok());
    EXPECT_TRUE(eventually([&] { return daemon_.sample("holdfast_acquires_pending") == 0; }));
    other_.release(held_by_other);
    EXPECT_TRUE(other_.acquire("waited for", 1s).ok());
}

TEST_F(SessionTest, AnotherDaemonTakesTheLeasesOver) {
    Daemon second{{"--store", redis_.url()}};
    Client there{second.address()};
    SessionStream session{client_};
    for (int i = 0; i < 10; ++i) {
        session.acquire(Client::request(name(i), 10s));
    }
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.read_until([&] { return session.results.size() == 10; }));
    daemon_.process().signal(SIGTERM);
    ASSERT_TRUE(session.event(pb::LeaseEvent::kMoving));
    EXPECT_EQ(session.finish().reason, "DRAINING");
    SessionStream resumed{there};
    for (const auto& [id, result] : session.results) {
        resumed.add().mutable_resume()->set_lease_id(result.acquire().lease().lease_id());
    }
    ASSERT_TRUE(resumed.send());
    ASSERT_TRUE(resumed.read_until([&] { return resumed.results.size() == 10; }));
    for (const auto& [id, result] : resumed.results) {
        ASSERT_TRUE(result.has_resumed()) << result.ShortDebugString();
        EXPECT_EQ(result.resumed().lease_id(), session.results[id].acquire().lease().lease_id());
        EXPECT_EQ(result.resumed().fencing_token(),
                  session.results[id].acquire().lease().fencing_token());
    }
    ASSERT_TRUE(there.release(resumed.results[1].resumed().lease_id()).ok());
    ASSERT_TRUE(resumed.event(pb::LeaseEvent::kReleased)) << "by a call of its own";
    EXPECT_EQ(resumed.last.lease_id(), resumed.results[1].resumed().lease_id());
}

TEST_F(SessionTest, AWrongOperationFailsAlone) {
    ASSERT_TRUE(other_.acquire("a").ok());
    SessionStream session{client_};
    session.acquire(Client::request(""));
    session.release("nonsense");
    session.add();
    session.acquire(Client::request("b"));
    const auto waiting = session.acquire(Client::request("a", 1s, 20s));
    session.add().set_id(waiting);
    session.message().mutable_operations(5)->mutable_acquire()->set_name("c");
    ASSERT_TRUE(session.send());
    EXPECT_EQ(reason(session.result(1)), "INVALID_ARGUMENT");
    EXPECT_EQ(reason(session.result(2)), "INVALID_ARGUMENT");
    EXPECT_EQ(reason(session.result(3)), "INVALID_ARGUMENT");
    EXPECT_TRUE(session.result(4).has_acquire());
    EXPECT_EQ(reason(session.result(waiting)), "INVALID_ARGUMENT") << "its id is in use";
    for (int i = 0; i < 1001; ++i) {
        session.acquire(Client::request("many"));
    }
    session.send();
    EXPECT_EQ(session.finish().field, "operations");
}

TEST(SessionCaps, AreToldByName) {
    Daemon daemon{{}, {{"HOLDFAST_LIMITS_MAX_SESSION_LEASES", "2"}}};
    Client client{daemon.address()};
    SessionStream session{client};
    for (const char* lock : {"a", "b", "c"}) {
        session.acquire(Client::request(lock));
        ASSERT_TRUE(session.send());
        session.result(session.results.size() + 1);
    }
    EXPECT_TRUE(session.results[2].has_acquire());
    EXPECT_EQ(reason(session.results[3]), "QUOTA");
    EXPECT_NE(session.results[3].error().message().find("limits.max_session_leases"),
              std::string::npos);
    session.release(session.results[1].acquire().lease().lease_id());
    ASSERT_TRUE(session.send());
    session.result(4);
    const auto again = session.acquire(Client::request("c"));
    ASSERT_TRUE(session.send());
    EXPECT_TRUE(session.result(again).has_acquire()) << "there is room again";
}

TEST_F(SessionTest, TheSameOwnerEntersAgainAndLeavesAsOften) {
    SessionStream session{client_};
    pb::AcquireRequest request = Client::request("a", 2s);
    request.set_reentrant(true);
    const auto first = session.acquire(request);
    ASSERT_TRUE(session.send());
    const pb::Lease lease = session.result(first).acquire().lease();
    request.set_ttl_ms(10'000);
    const auto again = session.acquire(request);
    ASSERT_TRUE(session.send());
    const pb::Lease second = session.result(again).acquire().lease();
    EXPECT_EQ(second.lease_id(), lease.lease_id());
    EXPECT_EQ(second.fencing_token(), lease.fencing_token());
    EXPECT_GT(second.safe_for_ms(), 5000U);

    request.set_owner("somebody else");
    const auto refused = session.acquire(request);
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(refused).error().code(), grpc::StatusCode::ABORTED);

    const auto inner = session.release(lease.lease_id());
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(inner).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_EQ(other_.acquire("a").reason, "LOCK_HELD");
    const auto outer = session.release(lease.lease_id());
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(outer).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(other_.acquire("a").ok());
}

TEST_F(SessionTest, WhoEntersAgainAndLeavesInOneMessageIsStillInside) {
    SessionStream session{client_};
    pb::AcquireRequest request = Client::request("a");
    request.set_reentrant(true);
    const auto first = session.acquire(request);
    ASSERT_TRUE(session.send());
    const pb::Lease lease = session.result(first).acquire().lease();
    const auto again = session.acquire(request);
    const auto inner = session.release(lease.lease_id());
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(inner).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(session.result(again).has_acquire());
    EXPECT_EQ(other_.acquire("a").reason, "LOCK_HELD");
    const auto outer = session.release(lease.lease_id());
    ASSERT_TRUE(session.send());
    EXPECT_EQ(session.result(outer).release().verdict(), pb::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(other_.acquire("a").ok());
}

TEST_F(SessionTest, ALeaseThatIsSharedNowIsNotEnteredAsAnExclusiveOne) {
    SessionStream session{client_};
    pb::AcquireRequest request = Client::request("a");
    request.set_reentrant(true);
    const auto first = session.acquire(request);
    ASSERT_TRUE(session.send());
    pb::Operation& convert = session.add();
    convert.mutable_convert()->set_lease_id(session.result(first).acquire().lease().lease_id());
    convert.mutable_convert()->set_mode(pb::MODE_SHARED);
    const std::uint64_t converted = convert.id();
    ASSERT_TRUE(session.send());
    ASSERT_TRUE(session.result(converted).has_convert());
    pb::AcquireRequest reader = Client::request("a");
    reader.set_mode(pb::MODE_SHARED);
    ASSERT_TRUE(other_.acquire(reader).ok());
    const auto again = session.acquire(request);
    ASSERT_TRUE(session.send());
    EXPECT_EQ(reason(session.result(again)), "LOCK_HELD");
}

}  // namespace
}  // namespace holdfast::e2e
