// A store whose canary is apart from the locks, as in a Cluster: what is granted, and when.

#include "store/redis_lock_store.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace holdfast::store {
namespace {

using namespace std::chrono_literals;

class CanaryApart : public testing::Test {
protected:
    static constexpr core::Ttl kMaxTtl{10s};

    static RedisLockStore::Options options() {
        RedisLockStore::Options options;
        options.station = "station1";
        options.canary.max_ttl = kMaxTtl;
        options.canary.apart = true;
        return options;
    }
    void connect(const std::string& incarnation) {
        store_.connected_to({incarnation, true});
        client_.deliver();
    }
    // For how long nothing is granted, as the look has found; empty: it has failed.
    std::optional<core::Milliseconds> look() {
        std::optional<core::Milliseconds> closed;
        store_.canary().look(1s, [&](const auto& found) {
            closed = found ? std::optional{found->closed_for} : std::nullopt;
        });
        client_.deliver();
        return closed;
    }
    enum class Got { granted, recovering, busy, not_executed, unknown };
    Got acquire(const std::string& name) {
        core::HolderId id;
        id.bytes.fill(static_cast<unsigned char>(++last_id_));
        core::Want want;
        want.holder = want.call = id;
        want.ttl = core::Ttl{1s};
        Got got = Got::unknown;
        const auto lock = *core::LockName::parse(name);
        store_.acquire({lock, want, 1s}, [&](const auto& answer) {
            if (!answer) {
                got = answer.error().failure == core::StoreFailure::not_executed ? Got::not_executed
                                                                                 : Got::unknown;
            } else if (std::holds_alternative<core::Granted>(*answer)) {
                got = Got::granted;
            } else if (const auto* busy = std::get_if<core::Busy>(&*answer)) {
                got = busy->recovering ? Got::recovering : Got::busy;
            }
        });
        client_.deliver();
        return got;
    }
    // New, as it was seen without slots.
    void be_open() {
        connect("one");
        store_.canary().is_blank();
        store_.canary().settle("tag", "node");
        clock_.set(clock_.now() + 60s);
        ASSERT_EQ(look(), 0ms);
        ASSERT_EQ(acquire("before"), Got::granted);
    }

    test::ManualClock clock_;
    test::LuaRedis redis_{test::time_of(clock_)};
    test::FatefulClient client_{redis_};
    RedisLockStore store_{client_, clock_, options()};
    int last_id_ = 0;
};

TEST_F(CanaryApart, NothingIsGrantedBeforeALook) {
    redis_.restart();
    connect("one");
    EXPECT_FALSE(store_.canary().verified());
    EXPECT_EQ(look(), std::nullopt) << "it has no slot";
    EXPECT_EQ(acquire("a"), Got::not_executed);
    store_.canary().settle("tag", "node");
    EXPECT_EQ(acquire("a"), Got::not_executed) << "but now it looks";
    EXPECT_EQ(acquire("a"), Got::recovering) << "it has not been up for long";
    EXPECT_TRUE(store_.canary().verified());
    clock_.set(clock_.now() + 12s);
    EXPECT_EQ(acquire("a"), Got::granted);
}

TEST_F(CanaryApart, WhatWasSeenWithoutSlotsIsNew) {
    redis_.restart();
    connect("one");
    store_.canary().is_blank();
    store_.canary().settle("tag", "node");
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(acquire("a"), Got::granted);
}

TEST_F(CanaryApart, ButNotAnotherIncarnationOfIt) {
    redis_.restart();
    connect("one");
    store_.canary().is_blank();
    connect("two");
    store_.canary().settle("tag", "node");
    EXPECT_GT(look(), 10s);
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, ALossIsNoticedAtTheNextLook) {
    be_open();
    redis_.flush();
    EXPECT_EQ(acquire("a"), Got::granted) << "the hole that the README names";
    EXPECT_GT(look(), 10s);
    EXPECT_EQ(acquire("b"), Got::recovering);
}

// A daemon that stood still does not grant by what it knew before.
TEST_F(CanaryApart, WhatIsKnownIsGoodForAWhileOnly) {
    be_open();
    clock_.set(clock_.now() + Canary::kStale);
    EXPECT_TRUE(store_.canary().verified());
    clock_.set(clock_.now() + 1ms);
    EXPECT_FALSE(store_.canary().verified());
    EXPECT_EQ(look(), 0ms);
    EXPECT_TRUE(store_.canary().verified());
}

TEST_F(CanaryApart, AnotherIncarnationIsNotGrantedFromBeforeItIsLookedAt) {
    be_open();
    client_.fates = {test::Fate::lose_request};  // of the look
    connect("two");
    EXPECT_FALSE(store_.canary().verified());
    EXPECT_EQ(acquire("a"), Got::not_executed);
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, WhatIsOpenStaysOpenWhenTheCanaryMoves) {
    be_open();
    store_.canary().settle("other", "node");
    EXPECT_EQ(acquire("a"), Got::granted) << "as of the last look";
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(acquire("b"), Got::granted);
}

TEST_F(CanaryApart, WhatIsClosedStaysClosedWhenTheCanaryMoves) {
    be_open();
    redis_.flush();
    ASSERT_GT(look(), 10s);
    clock_.set(clock_.now() + 2s);
    ASSERT_GT(look(), 8s);
    clock_.set(clock_.now() + 2s);
    store_.canary().settle("other", "node");
    const auto closed = look();
    ASSERT_TRUE(closed);
    EXPECT_GT(*closed, 6s);
    EXPECT_LT(*closed, 8s);
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, ALossIsNotCoveredUpByAMove) {
    be_open();
    client_.fates = {test::Fate::lose_request};
    connect("two");
    redis_.flush();
    store_.canary().settle("other", "node");
    EXPECT_GT(look(), 10s);
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, DoubtThatCameWithSlotsClosesIt) {
    be_open();
    store_.canary().inherit_doubt();
    EXPECT_FALSE(store_.canary().verified());
    client_.deliver();
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, LooksThatAreNotAnsweredCloseIt) {
    be_open();
    client_.usual = test::Fate::lose_request;
    clock_.set(clock_.now() + 1s);
    EXPECT_EQ(look(), std::nullopt);
    EXPECT_TRUE(store_.canary().verified());
    clock_.set(clock_.now() + Canary::kStale);
    EXPECT_EQ(look(), std::nullopt);
    EXPECT_FALSE(store_.canary().verified());
    client_.usual = test::Fate::answer;
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(acquire("a"), Got::granted);
}

TEST_F(CanaryApart, WhatAnotherPrimaryDoesNotGrantYetIsNotGrantedInItsPlace) {
    be_open();
    const core::Instant opens_at = clock_.now() + 3s;
    {
        const RedisLockStore::NotBefore closed{store_, opens_at};
        EXPECT_EQ(acquire("a"), Got::recovering);
        clock_.set(opens_at - 1ms);
        EXPECT_EQ(acquire("a"), Got::recovering);
        clock_.set(opens_at);
        EXPECT_EQ(acquire("a"), Got::granted);
    }
    EXPECT_EQ(acquire("b"), Got::granted);
}

TEST_F(CanaryApart, AnEarlierMomentDoesNotOpenWhatIsClosed) {
    be_open();
    redis_.flush();
    ASSERT_GT(look(), 10s);
    EXPECT_GT(store_.canary().opens_at(), clock_.now() + 10s);
    const RedisLockStore::NotBefore closed{store_, clock_.now()};
    EXPECT_EQ(acquire("a"), Got::recovering);
}

TEST_F(CanaryApart, AHeldLeaseIsRenewedWhateverItsCanaryIsDoing) {
    be_open();
    redis_.flush();
    ASSERT_GT(look(), 10s);
    const core::Lease lease{*core::LockName::parse("kept"), {}, core::FencingToken{7}, {}};
    const core::RenewCommand command{lease, core::Ttl{1s}, true};
    std::optional<bool> renewed;
    store_.renew(std::span{&command, 1}, 1s, [&](const auto& answers) {
        renewed = answers && (*answers)[0].renewed;
    });
    client_.deliver();
    EXPECT_EQ(renewed, true) << "it is put back";
}

}  // namespace
}  // namespace holdfast::store
