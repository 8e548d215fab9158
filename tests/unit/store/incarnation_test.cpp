// When a primary that is called by another incarnation is the same all the same (lua/_incarnation.lua).

#include "store/redis_lock_store.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"

#include <gtest/gtest.h>

namespace holdfast::store {
namespace {

using namespace std::chrono_literals;

const std::string kForgotten(40, '0');
const std::string kFirst(40, 'a');
const std::string kSecond(40, 'b');

class IncarnationRules : public testing::Test {
protected:
    explicit IncarnationRules(bool async = false) : store_(client_, clock_, options(async)) {
        clock_.set(clock_.now() + 1h);
        promoted_over(kFirst);
        store_.connected_to({"run:" + kFirst + ":7", true});
        client_.deliver();
        EXPECT_EQ(look(), 0ms);
    }
    RedisLockStore::Options options(bool async) {
        RedisLockStore::Options options;
        options.station = "station1";
        options.canary.max_ttl = {10s};
        options.canary.assume_new = true;
        options.canary.async = async;
        options.canary.on_loss = [this] { ++losses_; };
        return options;
    }
    void promoted_over(const std::string& id) {
        redis_.replaced =
            "master_replid2:" + id + "\r\nsecond_repl_offset:" + (id == kForgotten ? "-1" : "7");
    }
    core::Milliseconds look() {
        core::Milliseconds closed{-1};
        store_.canary().look(1s, [&](const auto& found) {
            ASSERT_TRUE(found) << found.error().message;
            closed = found->closed_for;
        });
        client_.deliver();
        return closed;
    }

    test::ManualClock clock_;
    test::LuaRedis redis_{test::time_of(clock_)};
    test::FatefulClient client_{redis_};
    int losses_ = 0;
    RedisLockStore store_;
};

TEST_F(IncarnationRules, ToForgetIsNoLoss) {
    promoted_over(kForgotten);
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(losses_, 0);
    EXPECT_EQ(store_.canary().incarnation(), "run:" + kForgotten + ":-1");
}

TEST_F(IncarnationRules, NorIsItIfANewConnectionIsToldFirst) {
    promoted_over(kForgotten);
    store_.connected_to({"run:" + kForgotten + ":-1", true});
    client_.deliver();
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(losses_, 0);
}

TEST_F(IncarnationRules, AnotherPromotionIsALoss) {
    promoted_over(kSecond);
    EXPECT_GT(look(), 10s);
    EXPECT_EQ(losses_, 1);
    EXPECT_EQ(store_.canary().incarnation(), "run:" + kSecond + ":7");
}

TEST_F(IncarnationRules, WhatWasNotWatchedMayHaveBeenForgottenTwice) {
    clock_.set(clock_.now() + 1h);
    promoted_over(kForgotten);
    EXPECT_GT(look(), 10s);
    EXPECT_EQ(losses_, 1);
}

TEST_F(IncarnationRules, AClockThatWasSetBackTellsNothing) {
    constexpr std::size_t kDigits = 16;
    constexpr std::size_t kBeats = 60;
    std::string& canary = redis_.key(store_.canary().key()).text;
    const std::size_t newest = canary.size() - kBeats * kDigits;
    canary.replace(newest, 1, "1");  // from far in the future
    promoted_over(kForgotten);
    EXPECT_GT(look(), 10s);
}

TEST_F(IncarnationRules, AReplicaThatCanBeWrittenToIsNotTheSame) {
    promoted_over(kForgotten);
    redis_.replaced += "\r\nrole:slave";
    EXPECT_GT(look(), 10s);
}

TEST_F(IncarnationRules, WhatIsSaidToBeNewIsSaidOfNoOther) {
    redis_.restart();
    promoted_over(kSecond);
    RedisLockStore late{client_, clock_, options(false)};
    late.connected_to({"run:" + kFirst + ":7", true});
    client_.deliver();
    EXPECT_FALSE(late.canary().opens_at() <= clock_.now());
}

TEST_F(IncarnationRules, AnotherProcessIsNeverTheSame) {
    promoted_over(kForgotten);
    store_.connected_to({"another:" + kForgotten + ":-1", true});
    client_.deliver();
    EXPECT_EQ(losses_, 1);
    EXPECT_GT(look(), 10s);
}

TEST_F(IncarnationRules, TwoLooksUnderWayAgree) {
    promoted_over(kForgotten);
    int answers = 0;
    for (int i = 0; i < 2; ++i) {
        store_.canary().look(1s, [&](const auto& found) { answers += found ? 1 : 0; });
    }
    client_.deliver();
    EXPECT_EQ(answers, 2);
    EXPECT_EQ(losses_, 0);
}

class IncarnationRulesAsync : public IncarnationRules {
protected:
    IncarnationRulesAsync() : IncarnationRules(true) {}
};

TEST_F(IncarnationRulesAsync, WhatIsHeldIsPutBackThoughGrantsGoOn) {
    clock_.set(clock_.now() + 1h);
    promoted_over(kForgotten);
    EXPECT_EQ(look(), 0ms);
    EXPECT_EQ(losses_, 1);
}

}  // namespace
}  // namespace holdfast::store
