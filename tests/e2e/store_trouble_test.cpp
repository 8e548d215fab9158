// A Redis that is slow, stands still, refuses or is cut off, under load. Shorter than what a ttl leaves time
// for, no lease is lost; longer, holders are told. Calls are answered within a bound, nothing piles up, and
// all goes on by itself when the trouble is over.

#include "promises.hpp"
#include "session_stream.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <random>
#include <sstream>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

// A lost reply is asked after for 3 s, and a last command may take 1 s.
constexpr auto kLongestAnswer = 10s;

// Two daemons and their load, with a lease at each that must be there at the end.
class StoreTrouble : public Promises {
protected:
    // Leases of which a third is much longer than any fault that is called short.
    static constexpr auto kTtl = 6s;

    void expect_no_loss(const std::function<void()>& short_fault) {
        Client at_one{one_.address()};
        Client at_two{two_.address()};
        HoldStream first{at_one, Client::request("first", kTtl)};
        HoldStream second{at_two, Client::request("second", kTtl)};
        ASSERT_EQ(first.next(), Event::kGranted);
        ASSERT_EQ(second.next(), Event::kGranted);
        MixedLoad load{daemons(), options()};
        for (int i = 0; i < 3; ++i) {
            during(400ms);
            short_fault();
        }
        during(400ms);
        expect_held(first, at_one);
        expect_held(second, at_two);
        expect_safe(load);
        expect_none("promises", load.history.broken_promises());
        EXPECT_GT(load.history.size(), 20U);
    }

    // It is held, and was never lost: the release says so, and the stream has not ended before.
    static void expect_held(HoldStream& hold, Client& client) {
        const Answer answer = client.release(hold.lease.lease_id());
        EXPECT_TRUE(answer.ok()) << answer.status.error_message();
        EXPECT_EQ(client.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        while (hold.next() != Event::EVENT_NOT_SET) {
            EXPECT_FALSE(hold.event.has_lost());
        }
        EXPECT_TRUE(hold.finish().ok());
    }
};

TEST_F(StoreTrouble, ARedisThatStandsStillForAMomentLosesNoLease) {
    expect_no_loss([this] {
        redis_.process().stop();
        during(300ms);
        redis_.process().resume();
    });
}

TEST_F(StoreTrouble, DebugSleepLosesNoLease) {
    expect_no_loss([this] { redis_.run({"DEBUG", "SLEEP", "0.3"}); });
}

TEST_F(StoreTrouble, ClientKillLosesNoLease) {
    expect_no_loss([this] { redis_.run({"CLIENT", "KILL", "TYPE", "normal"}); });
}

TEST_F(StoreTrouble, ClientPauseLosesNoLease) {
    expect_no_loss([this] {
        redis_.run({"CLIENT", "PAUSE", "300", "ALL"});
        during(300ms);
    });
}

TEST_F(StoreTrouble, ASlowLinkLosesNoLease) {
    gate_.delay(25ms);  // 50 ms there and back
    expect_no_loss([] {});
}

// What packet loss looks like to TCP's users: stalls, and a reset now and then.
TEST_F(StoreTrouble, ALossyLinkLosesNoLease) {
    std::minstd_rand random{static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed()) +
                            1U};
    expect_no_loss([&] {
        for (int i = 0; i < 5; ++i) {
            const bool there = random() % 2 == 0;
            there ? gate_.hold_requests(true) : gate_.hold_replies(true);
            during(std::chrono::milliseconds{random() % 80});
            there ? gate_.hold_requests(false) : gate_.hold_replies(false);
        }
        if (random() % 2 == 0) {
            gate_.cut();
        }
    });
}

TEST_F(StoreTrouble, ALongStandstillIsToldAndAnsweredAndGoneWhenItIsOver) {
    Client client{one_.address()};
    HoldStream hold{client, Client::request("a", 1s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    MixedLoad load{daemons(), options()};
    during(500ms);
    redis_.process().stop();
    EXPECT_TRUE(hold.until(Event::kAtRisk));
    EXPECT_TRUE(hold.until(Event::kLost));
    Client other{one_.address()};
    for (int i = 0; i < 2; ++i) {
        const auto asked = Steady::now();
        const Answer answer = other.acquire("b", 1s);
        EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
        EXPECT_LT(Steady::now() - asked, kLongestAnswer);
    }
    redis_.process().resume();
    const auto over = Steady::now();
    EXPECT_TRUE(eventually([&] { return other.acquire("c", 1s, 1s).ok(); }, 15s));
    EXPECT_LT(Steady::now() - over, 10s);
    during(500ms);
    expect_safe(load);
    expect_none("promises", load.history.broken_promises());
}

// What the address sanitizer keeps of freed memory, by default.
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kQuarantineKb = 256 << 10;
#else
constexpr std::size_t kQuarantineKb = 0;
#endif

// One daemon and its Redis, without a load of others.
class OneStore : public testing::Test {
protected:
    std::size_t resident_kb() {
        std::istringstream lines{
            test::read_file("/proc/" + std::to_string(daemon_.process().pid()) + "/status")};
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("VmRSS:")) {
                return std::stoul(line.substr(6));
            }
        }
        return 0;
    }
    // A message carries a thousand.
    static std::vector<std::uint64_t> acquire_many(SessionStream& session,
                                                   const std::string& prefix,
                                                   int count,
                                                   std::chrono::milliseconds ttl) {
        std::vector<std::uint64_t> ids;
        for (int i = 0; i < count; ++i) {
            ids.push_back(session.acquire(Client::request(prefix + std::to_string(i), ttl)));
            if (ids.size() % 1000 == 0) {
                EXPECT_TRUE(session.send());
            }
        }
        session.send();
        return ids;
    }
    static std::size_t granted(const SessionStream& session,
                               const std::vector<std::uint64_t>& ids) {
        return static_cast<std::size_t>(std::count_if(ids.begin(), ids.end(), [&](auto id) {
            const auto found = session.results.find(id);
            return found != session.results.end() && found->second.has_acquire();
        }));
    }
    static bool answered(const SessionStream& session, const std::vector<std::uint64_t>& ids) {
        return std::all_of(
            ids.begin(), ids.end(), [&](auto id) { return session.results.contains(id); });
    }
    double in_flight() const { return daemon_.sample("holdfast_redis_commands_in_flight"); }

    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}};
    Client client_{daemon_.address()};
};

TEST_F(OneStore, RenewalsGoAheadOfThousandsOfAcquires) {
    SessionStream holder{client_};
    const auto held = acquire_many(holder, "held ", 1000, 4s);
    ASSERT_TRUE(holder.read_until([&] { return answered(holder, held); }));
    ASSERT_EQ(granted(holder, held), 1000U);
    std::size_t rounds = 0;
    for (const auto begun = Steady::now(); rounds < 2 || Steady::now() < begun + 5s; ++rounds) {
        Client other{daemon_.address()};
        SessionStream crowd{other};
        const auto many = acquire_many(crowd, std::to_string(rounds) + ' ', 5000, 1s);
        ASSERT_TRUE(crowd.read_until([&] { return answered(crowd, many); }));
        EXPECT_GT(granted(crowd, many), 0U);
    }
    holder.message().mutable_ping()->set_id(1);
    ASSERT_TRUE(holder.send());
    ASSERT_TRUE(holder.read_until([&] { return holder.pong.id() == 1 && !holder.pong.more(); }));
    const auto count = [&](pb::LeaseEvent::EventCase kind) {
        return std::count_if(holder.events.begin(), holder.events.end(), [&](const auto& event) {
            return event.event_case() == kind;
        });
    };
    EXPECT_EQ(count(Event::kLost), 0);
    EXPECT_GT(count(Event::kRenewed), 1000);
    RecordProperty("at_risk", static_cast<int>(count(Event::kAtRisk)));
}

TEST_F(OneStore, ASessionMaySendMoreAcquiresThanMayBeInFlight) {
    Daemon daemon{{"--store", redis_.url()}, {{"HOLDFAST_STORE_MAX_IN_FLIGHT", "20"}}};
    Client client{daemon.address()};
    SessionStream session{client};
    const auto ids = acquire_many(session, "many ", 3000, 30s);
    ASSERT_TRUE(session.read_until([&] { return answered(session, ids); }));
    EXPECT_EQ(granted(session, ids), 3000U);
}

TEST_F(OneStore, NothingPilesUpBehindARedisThatStandsStill) {
    {
        SessionStream warm{client_};
        const auto ids = acquire_many(warm, "warm ", 3000, 1s);
        ASSERT_TRUE(warm.read_until([&] { return answered(warm, ids); }));
    }
    const std::size_t before = resident_kb();
    redis_.process().stop();
    SessionStream session{client_};
    const auto asked = Steady::now();
    const auto ids = acquire_many(session, "many ", 5000, 1s);
    ASSERT_TRUE(session.read_until([&] { return answered(session, ids); }));
    EXPECT_LT(Steady::now() - asked, kLongestAnswer);
    EXPECT_EQ(granted(session, ids), 0U);
    std::map<std::string, int> reasons;
    for (const auto id : ids) {
        google::rpc::ErrorInfo info;
        session.results[id].error().details(0).UnpackTo(&info);
        ++reasons[info.reason()];
    }
    EXPECT_EQ(reasons["STORE_UNAVAILABLE"] + reasons["OUTCOME_UNKNOWN"], 5000);
    EXPECT_GT(reasons["STORE_UNAVAILABLE"], 3000) << "most were never sent";
    // The window of acquires, and what undoes them is held back behind it.
    EXPECT_TRUE(eventually([&] { return in_flight() < 2500; })) << in_flight();
    redis_.process().resume();
    EXPECT_TRUE(eventually([&] { return in_flight() == 0; }, 20s)) << in_flight();
    EXPECT_TRUE(eventually([&] { return client_.acquire("again").ok(); }));
    EXPECT_TRUE(eventually([&] { return daemon_.sample("holdfast_cleanups_pending") == 0; }, 20s));
    EXPECT_LT(resident_kb(), before + 40'000 + kQuarantineKb);
}

TEST_F(OneStore, WhenMemoryIsFullNothingIsGrantedAndLeasesGoOn) {
    HoldStream hold{client_, Client::request("held", 3s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    std::vector<std::string> leases;
    for (const pb::Mode mode : {pb::MODE_EXCLUSIVE, pb::MODE_SHARED, pb::MODE_PERMIT}) {
        auto request = Client::request("mode " + std::to_string(mode), 10s);
        request.set_mode(mode);
        if (mode == pb::MODE_PERMIT) {
            request.set_permits(1);
            request.set_limit(3);
        }
        ASSERT_TRUE(client_.acquire(request).ok());
        leases.push_back(client_.lease.lease_id());
    }
    redis_.run({"CONFIG", "SET", "maxmemory", "1"});
    const Answer refused = client_.acquire("new");
    EXPECT_EQ(refused.reason, "STORE_UNAVAILABLE");
    EXPECT_THAT(refused.status.error_message(), HasSubstr("nothing was done: Redis answered: OOM"));
    for (int i = 0; i < 4; ++i) {  // more than its ttl
        ASSERT_TRUE(hold.until(Event::kRenewed));
    }
    for (const std::string& lease : leases) {
        EXPECT_TRUE(client_.renew(lease, 10s).ok());
        const Answer answer = client_.release(lease);
        EXPECT_TRUE(answer.ok()) << answer.status.error_message();
        EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        EXPECT_TRUE(client_.release(lease).ok()) << "it is remembered";
        EXPECT_EQ(client_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
    }
    redis_.run({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_TRUE(client_.acquire("new").ok());
}

// By an RDB file that cannot be saved, which needs no small disk: Redis refuses what it refuses when the disk
// that its AOF is on is full.
TEST(DiskTrouble, ARedisThatCannotWriteToDiskRefusesAndIsTriedUntilItCan) {
    const test::RedisProcess redis{{"--dbfilename", "in_the_way"}};
    Daemon daemon{{"--store", redis.url()}};
    Client client{daemon.address()};
    HoldStream hold{client, Client::request("held", 6s)};
    ASSERT_EQ(hold.next(), Event::kGranted);
    const std::string setting = redis.run({"CONFIG", "GET", "dir"});
    const std::string directory = setting.substr(setting.find('\n') + 1);
    std::filesystem::create_directory(directory + "/in_the_way");
    redis.run({"CONFIG", "SET", "save", "3600 1000000"});
    redis.run({"BGSAVE"});
    ASSERT_TRUE(eventually([&] {
        return redis.run({"SET", "anything", "1"}).starts_with("MISCONF");
    }));
    EXPECT_TRUE(hold.until(Event::kAtRisk));
    const Answer refused = client.acquire("new");
    EXPECT_EQ(refused.reason, "STORE_UNAVAILABLE");
    EXPECT_THAT(refused.status.error_message(), HasSubstr("MISCONF"));
    redis.run({"CONFIG", "SET", "save", ""});
    EXPECT_TRUE(hold.until(Event::kRecovered));
    EXPECT_TRUE(eventually([&] { return client.acquire("new").ok(); }));
    EXPECT_TRUE(daemon.wait_serving());
}

// Over one connection, which stays when no other may come.
class Operator {
public:
    explicit Operator(int port) {
        socket_.connect(
            {boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
    }
    void run(const std::string& command) {
        boost::asio::write(socket_, boost::asio::buffer(command + "\r\n"));
        boost::asio::streambuf line;
        boost::asio::read_until(socket_, line, '\n');
    }

private:
    boost::asio::io_context context_;
    boost::asio::ip::tcp::socket socket_{context_};
};

TEST_F(OneStore, ARedisWithoutRoomForItsConnectionIsTriedAgain) {
    ASSERT_TRUE(client_.acquire("held", 30s).ok());
    Operator console{redis_.port()};
    console.run("CONFIG SET maxclients 1");
    console.run("CLIENT KILL TYPE normal SKIPME yes");
    EXPECT_TRUE(daemon_.wait_serving(false));
    EXPECT_TRUE(eventually([&] {
        return http_get(daemon_.http_port(), "/readyz").find("max number of clients") !=
               std::string::npos;
    }));
    const auto asked = Steady::now();
    EXPECT_EQ(client_.acquire("new").reason, "STORE_UNAVAILABLE");
    EXPECT_LT(Steady::now() - asked, 4s);
    console.run("CONFIG SET maxclients 1000");
    EXPECT_TRUE(daemon_.wait_serving());
    EXPECT_TRUE(client_.renew(client_.lease.lease_id(), 30s).ok());
    EXPECT_TRUE(client_.acquire("new").ok());
}

}  // namespace
}  // namespace holdfast::e2e
