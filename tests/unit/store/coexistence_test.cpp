// Locks that other clients know by a plain key: what the scripts do with it, and what clients see.

#include "store/coexistence.hpp"

#include "../core/core_fixture.hpp"

#include <gmock/gmock.h>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using store::Coexistence;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kName = "orders:7";
constexpr const char* kTheirs = "somebody else's";

Coexistence rules() {
    return Coexistence::parse({"orders:", "paid:=>lock||shop||"}, "hf:").value();
}

class CoexistenceTest : public CoreTest {
protected:
    CoexistenceTest() : CoreTest(rules()) {}

    // As other clients do: SET NX PXAT. Without `lasts`, for ever.
    bool other_takes(Milliseconds lasts = 0ms, const std::string& key = kName) {
        std::vector<std::string> set{"SET", key, kTheirs};
        if (lasts > 0ms) {
            const auto ends = std::chrono::ceil<Milliseconds>(since_epoch() + lasts);
            set.insert(set.end(), {"PXAT", std::to_string(ends.count())});
        }
        const bool free = key_at(key) == test::LuaRedis::Key{};
        return free && redis_.execute(set) == "+OK\r\n";
    }
    Duration since_epoch() const { return clock_.now().time_since_epoch(); }
    test::LuaRedis::Key key_at(const std::string& key) {
        const auto at = redis_.keys().find(key);
        return at == redis_.keys().end() ? test::LuaRedis::Key{} : at->second;
    }
    std::string value(const std::string& key = kName) { return key_at(key).text; }
    Instant key_ends(const std::string& key = kName) {
        return Instant{Milliseconds{key_at(key).expires_ms}};
    }
    void delete_key() { redis_.execute({"DEL", kName}); }
    static std::string of(const Grant& grant) {
        return "holdfast:" + std::to_string(grant.lease.token.value);
    }

    Error refused(AcquireRequest asked) {
        const auto answer = acquire(std::move(asked));
        store_.deliver();
        EXPECT_TRUE(*answer && !**answer);
        return (*answer)->error();
    }
    // Renewed until its stream hears otherwise.
    Grant watched(const std::shared_ptr<RecordingListener>& listener) {
        AcquireRequest asked = request(kName);
        asked.listener = listener;
        return hold(std::move(asked));
    }
    Verdict release(const Grant& grant) {
        std::optional<Verdict> verdict;
        manager_.release(grant.lease, kNever, [&](const Result<Released>& released) {
            verdict = released ? std::optional{released->verdict} : std::nullopt;
        });
        store_.deliver();
        return verdict.value();
    }
    std::optional<LockState> inspect() {
        std::optional<LockState> state;
        manager_.inspect(name_of(kName), [&](auto found) { state = found.value(); });
        store_.deliver();
        return state;
    }

    std::shared_ptr<RecordingListener> stream_ = std::make_shared<RecordingListener>();
};

TEST_F(CoexistenceTest, TheKeyComesAndGoesWithTheLease) {
    const Grant grant = hold(request(kName));
    EXPECT_EQ(value(), of(grant));
    EXPECT_GE(key_ends(), store_.expiry(kName));
    EXPECT_LE(key_ends(), store_.expiry(kName) + 2ms);
    EXPECT_EQ(release(grant), Verdict::held_throughout);
    EXPECT_TRUE(other_takes());
}

TEST_F(CoexistenceTest, TheKeyMayHaveAnotherBeginningThanTheName) {
    const Grant grant = hold(request("paid:9"));
    EXPECT_EQ(value("lock||shop||9"), of(grant));
    hold(request("others:7"));  // of no rule
    EXPECT_EQ(redis_.keys().count("others:7") + redis_.keys().count("paid:9"), 0U);
}

TEST_F(CoexistenceTest, RenewalsKeepTheKey) {
    const Grant grant = watched(stream_);
    for (int i = 0; i < 100; ++i) {
        pass(50ms);
        ASSERT_EQ(value(), of(grant));
        ASSERT_GE(key_ends(), store_.expiry(kName));
    }
    EXPECT_TRUE(stream_->losses.empty());
}

TEST_F(CoexistenceTest, NobodyIsGrantedWhatAnotherHasTheKeyOf) {
    ASSERT_TRUE(other_takes(5s));
    const Error error = refused(request(kName));
    EXPECT_EQ(error.reason, Reason::lock_held);
    EXPECT_THAT(error.message,
                HasSubstr("held by \"a client of the plain key orders:7\" for up to 5"));
    const auto waits = acquire(waiting(kName, "next"));
    const Instant taken = clock_.now();
    pass(4900ms);
    EXPECT_FALSE(*waits);
    EXPECT_EQ(value(), kTheirs);
    pass(110ms);
    ASSERT_TRUE(*waits && **waits) << "not at its expiry";
    EXPECT_GE(clock_.now(), taken + 5s);
    EXPECT_EQ(value(), of(***waits));
}

TEST_F(CoexistenceTest, ItsReleaseIsSeenSoonAsNobodyTells) {
    ASSERT_TRUE(other_takes());  // without an expiry
    const auto waits = acquire(waiting(kName, "next"));
    pass(10s);
    EXPECT_FALSE(*waits);
    EXPECT_LT(store_.calls["acquire"], 150) << "polled too often";
    delete_key();
    pass(150ms);
    EXPECT_TRUE(*waits && **waits);
}

TEST_F(CoexistenceTest, AReleaseHandsTheKeyOnInTheSameStep) {
    const Grant first = hold(request(kName));
    const auto waits = acquire(waiting(kName, "next"));
    pass(10ms);
    const int asked = store_.calls["acquire"];
    EXPECT_EQ(release(first), Verdict::held_throughout);
    ASSERT_TRUE(*waits && **waits);
    EXPECT_EQ(store_.calls["acquire"], asked);
    EXPECT_EQ(value(), of(***waits));
}

TEST_F(CoexistenceTest, TheKeyOfALeaseThatExpiredIsReplaced) {
    hold(request(kName));
    const auto waits = acquire(waiting(kName, "next"));
    pass(1200ms);
    ASSERT_TRUE(*waits && **waits);
    EXPECT_EQ(value(), of(***waits));
}

TEST_F(CoexistenceTest, AfterALeaseThatEndedByItselfOthersWaitForTheLockDelayToo) {
    AcquireRequest asked = request(kName);
    asked.lock_delay = 3s;
    const Grant grant = hold(asked);
    const Instant ends = store_.expiry(kName);
    pass(2s);
    EXPECT_EQ(release(grant), Verdict::already_expired);
    EXPECT_FALSE(other_takes());
    pass(ends + 3s - clock_.now() + 2ms);
    EXPECT_TRUE(other_takes());
}

TEST_F(CoexistenceTest, WhoTakesTheKeyAwayEndsTheLease) {
    const Grant grant = watched(stream_);
    delete_key();
    ASSERT_TRUE(other_takes(5s));
    pass(400ms);
    EXPECT_THAT(stream_->losses, ElementsAre(LossCause::taken));
    EXPECT_EQ(release(grant), Verdict::already_expired);
    EXPECT_EQ(value(), kTheirs);
}

// Somebody may have had the lock meanwhile.
TEST_F(CoexistenceTest, ALeaseWhoseKeyWasDeletedIsLostForGood) {
    const Grant grant = watched(stream_);
    delete_key();
    EXPECT_TRUE(inspect()->holders.empty());
    pass(400ms);
    EXPECT_THAT(stream_->losses, ElementsAre(LossCause::taken));
    std::optional<Result<Grant>> renewed;
    manager_.renew(grant.lease, grant.ttl, {clock_.now()}, [&](auto done) { renewed = done; });
    store_.deliver();
    EXPECT_TRUE(failed_with(renewed, Reason::lease_lost));
    EXPECT_EQ(value(), "");
}

// Its holder may believe in it until its deadline.
TEST_F(CoexistenceTest, OfALeaseWhoseKeyWasDeletedNobodyIsGrantedTheLockBeforeItsEnd) {
    hold(request(kName));
    const Instant ends = store_.expiry(kName);
    delete_key();
    const auto waits = acquire(waiting(kName, "next"));
    pass(ends - clock_.now() - 1ms);
    EXPECT_FALSE(*waits);
    pass(200ms);
    EXPECT_TRUE(*waits && **waits);
}

TEST_F(CoexistenceTest, OnlyExclusiveLocks) {
    for (const Access& access : {Access{Mode::shared}, Access{Mode::permit, 1, 2}}) {
        AcquireRequest asked = request(kName);
        asked.access = access;
        const Error error = refused(asked);
        EXPECT_EQ(error.reason, Reason::mode_conflict);
        EXPECT_THAT(error.message, HasSubstr("store.coexist"));
    }
    const Grant grant = hold(request(kName));
    Answer converted;
    manager_.convert({grant.lease, Mode::shared, 0ms, {clock_.now()}},
                     [&](Result<Grant> done) { converted = std::move(done); });
    pass(10ms);
    EXPECT_TRUE(failed_with(converted, Reason::mode_conflict));
    EXPECT_EQ(release(grant), Verdict::held_throughout);
}

TEST_F(CoexistenceTest, AKeyOfAnotherTypeIsNoLock) {
    redis_.execute({"HSET", kName, "f", "v"});
    const Error error = refused(request(kName));
    EXPECT_EQ(error.reason, Reason::mode_conflict);
    EXPECT_THAT(error.message, HasSubstr("orders:7 holds a value of another type"));
}

TEST_F(CoexistenceTest, ALeaseFromBeforeTheSettingGetsTheKeyWithItsRenewal) {
    test::FakeStore before{redis_, clock_, "station2"};
    LockManager earlier{clock_, timers_, before, ids_, observer_, feed_, {}};
    std::optional<Result<Grant>> grant;
    earlier.acquire(request(kName), [&](auto done) { grant = done; });
    before.deliver();
    ASSERT_EQ(value(), "");
    const auto renew = [&] {
        std::optional<Result<Grant>> renewed;
        manager_.renew(
            (*grant)->lease, (*grant)->ttl, {clock_.now()}, [&](auto done) { renewed = done; });
        store_.deliver();
        return renewed;
    };
    EXPECT_TRUE(*renew());
    EXPECT_EQ(value(), of(**grant));
    // But not if another has it; nor later, as the two have had it at once.
    delete_key();
    ASSERT_TRUE(other_takes());
    EXPECT_TRUE(failed_with(renew(), Reason::lease_lost));
    delete_key();
    EXPECT_TRUE(failed_with(renew(), Reason::lease_lost));
}

TEST_F(CoexistenceTest, WhatIsPutBackGetsItsKeyAgain) {
    const Grant grant = watched(stream_);
    redis_.flush();
    pass(2s);
    EXPECT_TRUE(stream_->losses.empty());
    EXPECT_EQ(value(), of(grant));
    EXPECT_EQ(release(grant), Verdict::held_throughout);
    EXPECT_EQ(value(), "");
}

TEST_F(CoexistenceTest, ALeaseIsNotPutBackIfAnotherHasTakenTheKeyMeanwhile) {
    watched(stream_);
    redis_.flush();
    ASSERT_TRUE(other_takes());
    pass(2s);
    EXPECT_THAT(stream_->losses, ElementsAre(LossCause::taken));
    EXPECT_EQ(value(), kTheirs);
}

TEST_F(CoexistenceTest, AGrantThatNobodyHeardOfLeavesNoKey) {
    store_.fates = {test::Fate::lose_reply};
    acquire(request(kName));
    manager_.cancel_acquire(last_ticket_);
    store_.deliver();
    pass(900ms);  // less than the ttl
    EXPECT_NE(redis_.field("hf:orders:7", "k"), "") << "it was there";
    EXPECT_EQ(value(), "");
}

TEST_F(CoexistenceTest, ALockThatIsTakenAwayAtOnceHasNoKey) {
    hold(request(kName));
    manager_.revoke({name_of(kName), {}, Revocation::at_once, 0ms, ""}, kNever, [](const auto&) {});
    store_.deliver();
    EXPECT_TRUE(other_takes());
}

TEST_F(CoexistenceTest, WhoLooksSeesTheOtherHolder) {
    EXPECT_FALSE(inspect());
    ASSERT_TRUE(other_takes(5s));
    const auto state = inspect();
    ASSERT_TRUE(state && state->holders.size() == 1);
    EXPECT_EQ(state->holders[0].summary.owner, "a client of the plain key orders:7");
    EXPECT_EQ(state->holders[0].summary.token.value, 0U);
    EXPECT_GE(state->holders[0].summary.expires_in, 5s);
}

TEST(CoexistenceRules, APlainKeyIsNeverOneOfHoldfastsOwn) {
    for (const char* rule : {"", "h", "hf:", "hf:a", "orders:=>hf:", "orders:=>"}) {
        EXPECT_FALSE(Coexistence::parse({rule}, "hf:")) << rule;
    }
    EXPECT_TRUE(Coexistence::parse({"hg", "hf:=>x"}, "hf:"));
    EXPECT_FALSE(Coexistence::parse({"a\n"}, "hf:"));
}

TEST(CoexistenceRules, TheFirstThatFitsCounts) {
    const auto parsed = Coexistence::parse({"a:b:=>x:", "a:"}, "hf:");
    EXPECT_EQ(parsed->plain_key(*LockName::parse("a:b:1")), "x:1");
    EXPECT_EQ(parsed->plain_key(*LockName::parse("a:1")), "a:1");
    EXPECT_EQ(parsed->plain_key(*LockName::parse("b:1")), std::nullopt);
}

}  // namespace
}  // namespace holdfast::core
