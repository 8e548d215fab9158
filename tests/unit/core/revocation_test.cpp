// What a holder hears of revocations: by the store's notice, or by the next renewal.

#include "core_fixture.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

class RevocationTest : public CoreTest {
protected:
    Lease hold_streamed() {
        AcquireRequest asked = request("a");
        asked.listener = listener_;
        const auto answer = acquire(asked);
        store_.deliver();
        EXPECT_TRUE(*answer && **answer);
        return (***answer).lease;
    }
    // Through another daemon, whose notice is lost.
    void revoke_elsewhere(Milliseconds closes_in) {
        operators_.revoke(
            {name_of("a"), {}, Revocation::yield, closes_in, "please"}, 1s, [](const auto&) {});
        operators_.deliver();
    }
    void notice(const Lease& lease, Milliseconds closes_in) {
        manager_.revoked(lease.holder, Revocation::yield, closes_in, "please");
    }

    test::FakeStore operators_{redis_, clock_, "station2"};
    std::shared_ptr<RecordingListener> listener_ = std::make_shared<RecordingListener>();
};

TEST_F(RevocationTest, ASecondNoticeIsToldIfItIsEarlier) {
    const Lease lease = hold_streamed();
    notice(lease, 10s);
    notice(lease, 20s);
    notice(lease, 10s);
    ASSERT_EQ(listener_->yield_by, std::vector{clock_.now() + 10s});
    notice(lease, 4s);
    ASSERT_EQ(listener_->yield_by.size(), 2U);
    EXPECT_EQ(listener_->yield_by.back(), clock_.now() + 4s);
    notice(lease, 8s);
    EXPECT_EQ(listener_->yield_by.size(), 2U);
}

TEST_F(RevocationTest, ARenewalTellsOfTheEarlierDeadlineToo) {
    hold_streamed();
    revoke_elsewhere(10s);
    pass(500ms);
    ASSERT_EQ(listener_->yield_by.size(), 1U);
    revoke_elsewhere(20s);  // the first one stands
    pass(1500ms);
    EXPECT_EQ(listener_->yield_by.size(), 1U);
    revoke_elsewhere(3s);
    const Instant yield_by = clock_.now() + 3s;
    pass(500ms);
    ASSERT_EQ(listener_->yield_by.size(), 2U);
    EXPECT_LE(listener_->yield_by.back(), yield_by);
    EXPECT_GE(listener_->yield_by.back(), yield_by - 500ms);
    pass(2s);
    EXPECT_TRUE(listener_->losses.empty());
    pass(2s);
    EXPECT_EQ(listener_->losses, std::vector{LossCause::revoked});
}

TEST_F(RevocationTest, AStreamThatResumesTheLeaseIsToldToo) {
    const Lease lease = hold_streamed();
    notice(lease, 10s);
    revoke_elsewhere(10s);
    const Instant yield_by = clock_.now() + 10s;
    const auto resumed = std::make_shared<RecordingListener>();
    manager_.resume({.lease = lease, .ttl = Ttl{1000ms}, .listener = resumed}, [](const auto&) {});
    pass(500ms);
    EXPECT_EQ(listener_->losses, std::vector{LossCause::moved});
    ASSERT_EQ(resumed->yield_by.size(), 1U);
    EXPECT_LE(resumed->yield_by.front(), yield_by);
    EXPECT_GE(resumed->yield_by.front(), yield_by - 500ms);
    pass(2s);
    EXPECT_EQ(resumed->yield_by.size(), 1U);
}

TEST_F(RevocationTest, SoIsAStreamOfAnotherDaemon) {
    const Lease lease = hold_streamed();
    revoke_elsewhere(10s);
    TimerQueue timers;
    LockManager other{clock_, timers, operators_, ids_, observer_, feed_, {}};
    const auto resumed = std::make_shared<RecordingListener>();
    other.resume({.lease = lease, .ttl = Ttl{1000ms}, .listener = resumed}, [](const auto&) {});
    operators_.deliver();
    clock_.set(clock_.now() + 500ms);
    timers.fire(clock_.now());
    operators_.deliver();
    EXPECT_EQ(resumed->yield_by.size(), 1U);
}

TEST_F(RevocationTest, WhatIsNotRenewedAnyMoreIsNotResumed) {
    const Lease lease = hold_streamed();
    revoke_elsewhere(100ms);
    pass(200ms);
    Answer answer;
    manager_.resume(
        {.lease = lease, .ttl = Ttl{1000ms}, .listener = std::make_shared<RecordingListener>()},
        [&](auto result) { answer = std::move(result); });
    store_.deliver();
    EXPECT_TRUE(failed_with(answer, Reason::lease_lost));
    EXPECT_TRUE(listener_->losses.empty()) << "who has it may believe in it until its deadline";
    pass(2s);
    EXPECT_EQ(listener_->losses, std::vector{LossCause::revoked});
}

}  // namespace
}  // namespace holdfast::core
