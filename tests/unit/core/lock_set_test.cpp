// Sets of locks, taken all or none.

#include "core/lock_sets.hpp"
#include "core_fixture.hpp"

#include <deque>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;

class LockSetTest : public CoreTest {
protected:
    using SetAnswer = std::optional<Result<SetGrant>>;

    SetRequest wanted(const std::vector<std::string>& names, Milliseconds wait = 0ms) {
        SetRequest asked{{}, {}, waiting(names.front(), "me", wait)};
        for (const std::string& name : names) {
            asked.names.push_back(name_of(name));
        }
        return asked;
    }

    std::shared_ptr<SetAnswer> start(SetRequest asked) {
        auto answer = std::make_shared<SetAnswer>();
        set_ = std::make_shared<LockSet>(clock_, post_, std::move(asked));
        set_->start([answer](Result<SetGrant> granted) {
            EXPECT_FALSE(*answer) << "answered twice";
            *answer = std::move(granted);
        });
        return answer;
    }

    LeaseSet hold_set(SetRequest asked) {
        const auto answer = start(std::move(asked));
        settle();
        EXPECT_TRUE(*answer && **answer);
        return (**answer)->set;
    }

    static bool failed_with_set(const SetAnswer& answer, Reason reason) {
        return answer && !*answer && answer->error().reason == reason;
    }

    void run_tasks() {
        while (!tasks_.empty()) {
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            task(manager_);
        }
    }

    void settle() {
        do {
            run_tasks();
            store_.deliver();
        } while (!tasks_.empty() || store_.pending() > 0);
    }

    void live(Duration time) {
        settle();
        for (const Instant end = clock_.now() + time; clock_.now() < end;) {
            clock_.set(std::min(end, std::max(timers_.next(), clock_.now() + Duration{1})));
            timers_.fire(clock_.now());
            settle();
        }
    }

    std::string held() {
        std::string names;
        for (const char* name : {"a", "b", "c"}) {
            names += store_.held(name) ? name : "";
        }
        return names;
    }

    // The store and the manager know of nobody who holds or waits.
    void expect_nothing_left() {
        live(100ms);
        EXPECT_EQ(held(), "");
        EXPECT_EQ(manager_.counts().waiting, 0U);
        EXPECT_EQ(manager_.counts().reaping, 0U);
        live(2s);
        EXPECT_EQ(manager_.counts().leases, 0U);
    }

    std::deque<absl::AnyInvocable<void(LockManager&)>> tasks_;
    Post post_ = [this](const LockName&, auto task) { tasks_.push_back(std::move(task)); };
    std::shared_ptr<LockSet> set_;
};

TEST_F(LockSetTest, AllAreTakenEachWithItsToken) {
    const auto answer = start(wanted({"c", "a", "b"}));
    settle();
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ(held(), "abc");
    EXPECT_EQ(store_.calls["acquire"], 3);
    EXPECT_EQ(store_.calls["renew"], 0) << "all are fresh";
    EXPECT_EQ((**answer)->deadline(), clock_.now() + 1000ms);
    const auto& leases = (**answer)->set.leases;
    ASSERT_EQ(leases.size(), 3U);
    EXPECT_EQ(leases[0].name.text(), "a") << "sorted";
    EXPECT_NE(leases[0].token, leases[1].token);
    EXPECT_NE(leases[0].holder, leases[1].holder);
    live(2s);
    EXPECT_EQ(held(), "") << "the client renews, or not";
    EXPECT_EQ(store_.calls["renew"], 0);
    EXPECT_EQ(manager_.counts().leases, 0U);
}

TEST_F(LockSetTest, ARefusalInTheMiddleGivesBackWhatWasTaken) {
    store_.take_by_other("b", 60s);
    const auto answer = start(wanted({"a", "b", "c"}));
    settle();
    ASSERT_TRUE(failed_with_set(*answer, Reason::lock_held));
    EXPECT_EQ((*answer)->error().metadata.at("name"), "b");
    EXPECT_EQ((*answer)->error().metadata.at("holder_owner"), "other");
    EXPECT_NE((*answer)->error().message.find("\"b\""), std::string::npos);
    live(100ms);
    EXPECT_EQ(held(), "b");
    EXPECT_EQ(store_.calls["acquire"], 2) << "c was not asked for";
    store_.free("b");
    expect_nothing_left();
}

TEST_F(LockSetTest, WhatIsTakenIsRenewedWhileTheRestIsWaitedFor) {
    store_.take_by_other("b", 5s);
    const auto answer = start(wanted({"a", "b", "c"}, 60s));
    live(4s);
    EXPECT_FALSE(*answer);
    EXPECT_EQ(held(), "ab") << "four times its ttl";
    for (int step = 0; step < 5000 && !*answer; ++step) {
        live(1ms);
    }
    ASSERT_TRUE(*answer && **answer);
    EXPECT_EQ(held(), "abc");
    EXPECT_GE((**answer)->deadline(), clock_.now() + 990ms) << "all are renewed before it is told";
    live(2s);
    EXPECT_EQ(held(), "");
}

TEST_F(LockSetTest, AWaitThatIsOverGivesBackWhatWasTaken) {
    store_.take_by_other("b", 60s);
    const auto answer = start(wanted({"a", "b"}, 3s));
    live(2900ms);
    EXPECT_FALSE(*answer);
    live(200ms);
    ASSERT_TRUE(failed_with_set(*answer, Reason::lock_held));
    EXPECT_EQ((*answer)->error().metadata.at("name"), "b");
    store_.free("b");
    expect_nothing_left();
}

TEST_F(LockSetTest, OneWhoLeavesInTheMiddleLeavesNothing) {
    store_.take_by_other("b", 60s);
    const auto answer = start(wanted({"a", "b"}, 60s));
    live(3s);
    EXPECT_EQ(held(), "ab");
    EXPECT_EQ(manager_.counts().waiting, 1U);
    set_->cancel();
    settle();
    EXPECT_EQ(held(), "b");
    EXPECT_FALSE(*answer);
    store_.free("b");
    expect_nothing_left();
}

TEST_F(LockSetTest, OneWhoLeavesWhileAGrantIsOnItsWayLeavesNothing) {
    const auto answer = start(wanted({"a", "b"}));
    run_tasks();
    store_.deliver();
    run_tasks();
    EXPECT_EQ(store_.pending(), 1U) << "the acquire of b is under way";
    set_->cancel();
    run_tasks();
    expect_nothing_left();

    // The shard has decided already, and the set does not know it yet.
    start(wanted({"a", "b"}));
    run_tasks();
    set_->cancel();
    store_.deliver();
    EXPECT_EQ(held(), "a");
    expect_nothing_left();
    EXPECT_FALSE(*answer);
}

TEST_F(LockSetTest, ALossInTheMiddleEndsItAll) {
    store_.take_by_other("b", 60s);
    const auto answer = start(wanted({"a", "b"}, 60s));
    live(1s);
    store_.take_by_other("a", 60s);
    live(1s);
    ASSERT_TRUE(failed_with_set(*answer, Reason::lease_lost));
    EXPECT_EQ((*answer)->error().metadata.at("name"), "a");
    EXPECT_EQ(manager_.counts().waiting, 0U);
    store_.free("a");
    store_.free("b");
    expect_nothing_left();
}

TEST_F(LockSetTest, AStoreThatGoesAwayInTheMiddleEndsItAll) {
    store_.take_by_other("b", 60s);
    const auto answer = start(wanted({"a", "b"}, 60s));
    live(1s);
    store_.usual = Fate::refuse;
    live(1500ms);
    ASSERT_TRUE(failed_with_set(*answer, Reason::store_unavailable));
    store_.usual = Fate::answer;
    store_.free("b");
    live(3s);
    expect_nothing_left();
}

TEST_F(LockSetTest, WithoutARenewalBeforeTheEndThereIsNoGrant) {
    store_.take_by_other("b", 3s);
    SetRequest asked = wanted({"a", "b"}, 60s);
    asked.each.ttl = Ttl{10s};
    const auto answer = start(std::move(asked));
    live(2900ms);
    for (int step = 0; step < 1000 && store_.acquired_by.size() < 2; ++step) {
        clock_.set(std::max(timers_.next(), clock_.now()));
        timers_.fire(clock_.now());
        run_tasks();
        store_.deliver();
    }
    EXPECT_EQ(store_.acquired_by.size(), 2U) << "b is granted, and the set does not know it yet";
    store_.usual = Fate::refuse;
    live(4s);
    ASSERT_TRUE(failed_with_set(*answer, Reason::store_unavailable));
    store_.usual = Fate::answer;
    live(2s);
    expect_nothing_left();
}

TEST_F(LockSetTest, TheDaemonRenewsForMaxHold) {
    SetRequest asked = wanted({"a", "b"});
    asked.each.max_hold = 5s;
    const Instant start = clock_.now();
    hold_set(asked);
    live(4s);
    EXPECT_EQ(held(), "ab");
    live(3s);
    EXPECT_EQ(held(), "");
    EXPECT_LE(store_.expiry("a"), start + 5600ms);
}

TEST_F(LockSetTest, WhenOneIsLostTheOthersAreNotRenewed) {
    SetRequest asked = wanted({"a", "b"});
    asked.each.max_hold = 60s;
    hold_set(asked);
    live(3s);
    EXPECT_EQ(held(), "ab");
    store_.take_by_other("a", 60s);
    live(400ms);
    EXPECT_TRUE(store_.held("b")) << "not released: the client may still believe";
    live(1600ms);
    EXPECT_FALSE(store_.held("b"));
}

TEST_F(LockSetTest, AnAnswerThatDidNotArriveGivesAllBack) {
    for (const Milliseconds max_hold : {0ms, 60'000ms}) {
        SetRequest asked = wanted({"a", "b"});
        asked.each.max_hold = max_hold;
        hold_set(asked);
        EXPECT_EQ(held(), "ab");
        set_->abandon();
        settle();
        EXPECT_EQ(held(), "");
        expect_nothing_left();
    }
}

TEST_F(LockSetTest, ARetryGetsTheSameLeases) {
    SetRequest asked = wanted({"b", "a"});
    asked.request_id = *RequestId::parse(std::string(16, 'r'));
    const LeaseSet first = hold_set(asked);
    std::swap(asked.names[0], asked.names[1]);
    EXPECT_EQ(encode_lease_id(hold_set(asked)), encode_lease_id(first));
    set_->abandon();
    settle();
    EXPECT_EQ(held(), "ab") << "the first caller may believe in it";
}

TEST_F(LockSetTest, RenewIsForAllOrFails) {
    const LeaseSet set = hold_set(wanted({"a", "b", "c"}));
    SetAnswer renewed;
    const auto renew = [&] {
        renewed.reset();
        renew_set(post_, set, Ttl{2s}, {}, [&](auto result) { renewed = std::move(result); });
        settle();
    };
    live(500ms);
    renew();
    ASSERT_TRUE(renewed && *renewed);
    EXPECT_EQ((*renewed)->deadline(), clock_.now() + 2s);
    live(1900ms);
    EXPECT_EQ(held(), "abc");
    store_.take_by_other("b", 60s);
    renew();
    ASSERT_TRUE(failed_with_set(renewed, Reason::lease_lost));
    EXPECT_EQ(renewed->error().metadata.at("name"), "b");
    EXPECT_TRUE(renewed->error().metadata.contains("newer_token"));
}

TEST_F(LockSetTest, ARenewalThatIsNotKnownOfAllIsUnknown) {
    const LeaseSet set = hold_set(wanted({"a", "b"}));
    SetAnswer renewed;
    store_.fates = {Fate::answer};
    store_.usual = Fate::refuse;
    renew_set(post_, set, Ttl{2s}, {}, [&](auto result) { renewed = std::move(result); });
    live(4s);
    EXPECT_TRUE(failed_with_set(renewed, Reason::outcome_unknown)) << "one is renewed";
    renewed.reset();
    renew_set(post_, set, Ttl{2s}, {}, [&](auto result) { renewed = std::move(result); });
    live(4s);
    EXPECT_TRUE(failed_with_set(renewed, Reason::store_unavailable));
}

TEST_F(LockSetTest, ReleaseTellsTheWorst) {
    std::optional<Result<Released>> released;
    const auto release = [&](const LeaseSet& set) {
        released.reset();
        release_set(post_, set, kNever, [&](auto result) { released = std::move(result); });
        settle();
        return *released;
    };
    const LeaseSet all = hold_set(wanted({"a", "b", "c"}));
    EXPECT_EQ(release(all)->verdict, Verdict::held_throughout);
    EXPECT_EQ(held(), "");
    EXPECT_EQ(release(all)->verdict, Verdict::held_throughout) << "a retry";

    const LeaseSet expired = hold_set(wanted({"a", "b"}));
    live(2s);
    EXPECT_EQ(release(expired)->verdict, Verdict::already_expired);

    LeaseSet forged = hold_set(wanted({"a", "b"}));
    forged.leases[1].holder.bytes.fill('f');
    EXPECT_EQ(release(forged).error().reason, Reason::not_found);
    EXPECT_EQ(held(), "b") << "the rest is released all the same";
    store_.free("b");

    LeaseSet taken = hold_set(wanted({"a", "b", "c"}));
    store_.take_by_other("c", 1s);
    taken.leases[0].holder.bytes.fill('f');
    const auto verdict = release(taken);
    EXPECT_EQ(verdict->verdict, Verdict::superseded) << "worse than not found";
    EXPECT_EQ(verdict->newer.value, taken.leases[2].token.value + 1);
}

}  // namespace
}  // namespace holdfast::core
