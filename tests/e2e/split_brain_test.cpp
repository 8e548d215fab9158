// An old primary that goes on while another has been made primary: a daemon on each side, who takes locks?
//
// The primary and one replica are cut off from the Sentinels, who make the other replica primary. It has not
// seen what was granted last (a WAIT for one of two replicas, and the other is promoted). The daemon
// of the old side knows its primary by address, the other asks the Sentinels.

#include "hold_stream.hpp"
#include "support/sentinel_group.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;
using Time = Steady::time_point;

constexpr auto kPatience = 60s;
constexpr auto kMaxTtl = 6s;  // a lease must outlast a stall of the machine

// Until when a stream's holder may believe in its lease, by all that it was told.
class Believer {
public:
    Believer(Client& client, const std::string& name)
        : stream_(client, Client::request(name, kMaxTtl, 30s)) {
        if (!reads_until(Event::kGranted)) {
            const Answer answer = stream_.finish();
            ADD_FAILURE() << answer.reason << ": " << answer.status.error_message();
        }
    }

    // The next event.
    Event next() {
        const Event kind = stream_.next();
        if (kind == Event::kGranted) {
            believe(stream_.event.granted().lease());
        } else if (kind == Event::kRenewed) {
            believe(stream_.event.renewed().lease());
        } else if (kind == Event::kRecovered) {
            believe(stream_.event.recovered().lease());
        }
        return kind;
    }
    bool reads_until(Event wanted) {
        Event kind = next();
        while (kind != wanted && kind != Event::EVENT_NOT_SET) {
            kind = next();
        }
        return kind == wanted;
    }
    const pb::Lease& lease() const { return stream_.lease; }

    Time until{};

private:
    void believe(const pb::Lease& lease) {
        until = std::max(
            until,
            stream_.sent_at + std::chrono::milliseconds{lease.elapsed_ms() + lease.safe_for_ms()});
    }

    HoldStream stream_;
};

class SplitBrain : public testing::Test {
protected:
    explicit SplitBrain(const std::string& safety = "strict") : safety_(safety) {}

    std::map<std::string, std::string> settings() const {
        const std::string ttl = std::to_string(kMaxTtl.count()) + "s";
        return {{"HOLDFAST_LIMITS_MAX_TTL", ttl},
                {"HOLDFAST_LIMITS_DEFAULT_TTL", ttl},
                {"HOLDFAST_STORE_REPLICAS", "2"},
                {"HOLDFAST_STORE_SAFETY", safety_}};
    }
    std::string old_primary() { return "redis://127.0.0.1:" + std::to_string(old_.gate->port()); }
    void split() {
        loyal_.cut_off_from_sentinels(true);
        // The one that will be promoted follows nobody, and so has nothing of what comes now. Sentinels that
        // saw it would have it follow its primary again.
        promoted_.cut_off_from_sentinels(true);
        promoted_.redis->run({"REPLICAOF", "127.0.0.1", std::to_string(test::free_port())});
    }
    void promote() {
        EXPECT_EQ(promoted_.redis->run({"EXISTS", "hf:kept"}), "0");
        old_.cut_off_from_sentinels(true);
        promoted_.cut_off_from_sentinels(false);
        EXPECT_EQ(group_.await_another(from_), to_) << group_.logs();
        EXPECT_TRUE(eventually(
            [&] {
                return promoted_.redis->run({"INFO", "replication"}).find("role:master") !=
                       std::string::npos;
            },
            kPatience));
    }
    bool loyal_follows_old() {
        return loyal_.redis->run({"INFO", "replication"})
                   .find("master_port:" + std::to_string(old_.gate->port())) != std::string::npos;
    }

    const std::string safety_;
    test::SentinelGroup group_;
    const std::size_t from_ = group_.primary();
    const std::size_t to_ = (from_ + 1) % 3;
    test::SentinelGroup::Node& old_ = group_.node(from_);
    test::SentinelGroup::Node& promoted_ = group_.node(to_);
    test::SentinelGroup::Node& loyal_ = group_.node((from_ + 2) % 3);
    Daemon behind_{{"--store", old_primary()}, settings()};
    Client there_{behind_.address()};
    Daemon ahead_{{"--store", group_.url()}, settings()};
    Client here_{ahead_.address()};
};

class SplitBrainInSafeMode : public SplitBrain {
protected:
    SplitBrainInSafeMode() : SplitBrain("safe") {}
};

TEST_F(SplitBrain, NobodyIsGrantedWhatTheOldSideStillHolds) {
    split();
    Believer kept{there_, "kept"};
    EXPECT_EQ(kept.lease().replicas(), 1U);
    promote();
    ASSERT_TRUE(eventually([&] { return ahead_.sample("holdfast_redis_primary_moves_total") >= 1; },
                           kPatience));

    // For much longer than a lease lasts: the old side renews, acknowledged by its replica.
    const Time end = Steady::now() + 2 * kMaxTtl;
    while (Steady::now() < end) {
        ASSERT_TRUE(loyal_follows_old());
        ASSERT_FALSE(here_.acquire("kept", kMaxTtl).ok()) << "held on the other side";
        ASSERT_TRUE(kept.reads_until(Event::kRenewed));
    }
    EXPECT_THAT(http_get(ahead_.http_port(), "/readyz"), HasSubstr("strict: "));

    // The replica goes over: that is when the old side's leases begin to end.
    loyal_.cut_off_from_sentinels(false);
    std::thread reader{[&] { EXPECT_TRUE(kept.reads_until(Event::kLost)); }};
    Time granted_at{};
    EXPECT_TRUE(eventually(
        [&] {
            const bool granted = here_.acquire("kept", kMaxTtl).ok();
            granted_at = Steady::now();
            return granted;
        },
        kPatience))
        << ahead_.log();
    reader.join();
    EXPECT_LT(kept.until, granted_at);
    EXPECT_GT(here_.lease.fencing_token(), kept.lease().fencing_token());
    // (Its daemon may just be connecting anew.)
    Answer refused;
    EXPECT_TRUE(eventually(
        [&] {
            refused = there_.acquire("other", kMaxTtl);
            return refused.reason != "STORE_UNAVAILABLE" && refused.reason != "OUTCOME_UNKNOWN";
        },
        kPatience));
    EXPECT_EQ(refused.reason, "NOT_DURABLE") << "the old side is over";
}

// This is what strict mode is for, and shows that the test above can fail: where the wait for new
// grants counts from the promotion, a lock is held on both sides.
TEST_F(SplitBrainInSafeMode, AWaitThatCountsFromThePromotionIsNotEnough) {
    split();
    Believer kept{there_, "kept"};
    promote();
    EXPECT_TRUE(eventually([&] { return here_.acquire("kept", kMaxTtl).ok(); }, kPatience));
    const Time granted_at = Steady::now();
    while (kept.until <= granted_at) {
        ASSERT_TRUE(kept.reads_until(Event::kRenewed));
    }
}

}  // namespace
}  // namespace holdfast::e2e
