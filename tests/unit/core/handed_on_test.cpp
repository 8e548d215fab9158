// Leases that one daemon leaves to another, and what Explain sees of a shard.

#include "core_fixture.hpp"

#include <gmock/gmock.h>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class Listener final : public LeaseListener {
public:
    void renewed(Instant) override { ++renewals; }
    void anchored(Instant, Ttl, Instant) override {}
    void converted(const Lease&, Instant) override {}
    void at_risk(Instant, std::string_view) override {}
    void recovered(Instant) override {}
    void revoke_requested(Instant, std::string_view) override {}
    void lost(LossCause, std::string_view) override { ++losses; }
    void released(const Released&) override {}
    void moving(Instant) override {}

    int renewals = 0;
    int losses = 0;
};

class HandedOn : public CoreTest {
protected:
    // Another daemon's manager on the same store.
    TimerQueue other_timers_;
    test::FakeStore other_store_{redis_, clock_, "station2"};
    LockManager other_{clock_, other_timers_, other_store_, ids_, observer_, feed_, {}};

    Answer resume(const Lease& lease, Milliseconds max_hold, LockManager::Listener listener) {
        Answer answer;
        other_.resume({.lease = lease,
                       .ttl = Ttl{1000ms},
                       .max_hold = max_hold,
                       .listener = std::move(listener)},
                      [&](auto result) { answer = std::move(result); });
        other_store_.deliver();
        return answer;
    }
    void pass_at_other(Duration time) {
        const Instant end = clock_.now() + time;
        while (clock_.now() < end) {
            clock_.set(std::min(end, std::max(other_timers_.next(), clock_.now() + Duration{1})));
            other_timers_.fire(clock_.now());
            other_store_.deliver();
        }
    }
    std::vector<std::string> told(const std::string& name) const {
        std::vector<std::string> found;
        for (const auto& one : manager_.recorder().of(name_of(name), 100)) {
            found.push_back(std::string{to_string(one.what)} + ' ' + one.owner);
        }
        return found;
    }
};

TEST_F(HandedOn, OnlyWhatIsRenewedForNobodyIsUnattended) {
    hold("plain");
    const Grant kept = hold("kept", 60s);
    AcquireRequest streamed = request("streamed");
    streamed.listener = std::make_shared<Listener>();
    streamed.max_hold = 60s;
    acquire(streamed);
    store_.deliver();
    const auto unattended = manager_.unattended(10);
    ASSERT_EQ(unattended.size(), 1U);
    EXPECT_EQ(unattended[0].lease.name, kept.lease.name);
    EXPECT_EQ(unattended[0].ttl, kept.ttl);
    EXPECT_EQ(unattended[0].until, kept.sent_at + 60s);
    EXPECT_TRUE(manager_.unattended(0).empty());
}

TEST_F(HandedOn, WhoTakesItOverRenewsItUntilItsEnd) {
    const Grant kept = hold("kept", 60s);
    ASSERT_TRUE(*resume(kept.lease, 5000ms, nullptr));
    manager_.moved(kept.lease.holder);
    EXPECT_TRUE(manager_.unattended(10).empty());
    EXPECT_TRUE(observer_.lost.empty());  // as was agreed
    pass_at_other(4s);
    EXPECT_TRUE(store_.held("kept"));
    pass_at_other(2s);
    EXPECT_FALSE(store_.held("kept"));
}

TEST_F(HandedOn, AnOfferThatComesLateDisplacesNoClient) {
    const Grant kept = hold("kept", 60s);
    const auto listener = std::make_shared<Listener>();
    ASSERT_TRUE(*resume(kept.lease, 0ms, listener));
    ASSERT_TRUE(*resume(kept.lease, 5000ms, nullptr));
    pass_at_other(10s);
    EXPECT_EQ(listener->losses, 0);
    EXPECT_GT(listener->renewals, 10);
    EXPECT_TRUE(store_.held("kept"));
}

TEST_F(HandedOn, WhatHappensIsRemembered) {
    const Grant first = hold("a");
    acquire(waiting("a", "next"));
    acquire(waiting("a", "leaves"));
    const auto leaves = last_ticket_;
    store_.deliver();
    EXPECT_EQ(manager_.waiting_for(name_of("a"), 1).size(), 1U);
    auto waiters = manager_.waiting_for(name_of("a"), 10);
    ASSERT_EQ(waiters.size(), 2U);
    EXPECT_EQ(waiters[0].owner, "next");
    EXPECT_EQ(waiters[1].owner, "leaves");
    manager_.cancel_acquire(leaves);
    manager_.release(first.lease, kNever, [](const auto&) {});
    store_.deliver();
    EXPECT_THAT(told("a"),
                ElementsAre("granted next", "released me", "cancelled leaves", "granted me"));
    pass(2s);
    EXPECT_EQ(told("a").front(), "expired next");
    EXPECT_TRUE(manager_.waiting_for(name_of("a"), 10).empty());
}

}  // namespace
}  // namespace holdfast::core
