// Conversions whose answers are lost, cross renewals, or run late.

#include "core_fixture.hpp"
#include "store/notices.hpp"

#include <memory>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;

class Listener final : public LeaseListener {
public:
    void renewed(Instant) override {}
    void anchored(Instant, Ttl, Instant) override {}
    void converted(const Lease& lease, Instant) override { now = lease.access.mode; }
    void at_risk(Instant, std::string_view) override {}
    void recovered(Instant) override {}
    void revoke_requested(Instant, std::string_view) override { ++asked_to_yield; }
    void lost(LossCause cause, std::string_view) override { losses.push_back(cause); }
    void released(const Released&) override {}
    void moving(Instant) override {}

    Mode now = Mode::exclusive;
    int asked_to_yield = 0;
    std::vector<LossCause> losses;
};

class ConversionTest : public CoreTest {
protected:
    Grant hold_streamed(Mode mode) {
        AcquireRequest asked = request("a");
        asked.access = Access{mode};
        asked.listener = listener_;
        listener_->now = mode;
        return hold(std::move(asked));
    }
    std::shared_ptr<Answer> convert(const Lease& lease, Mode mode, Milliseconds wait = 0ms) {
        auto answer = std::make_shared<Answer>();
        manager_.convert({lease, mode, wait, {clock_.now(), kNever}},
                         [answer](Result<Grant> result) { *answer = std::move(result); });
        return answer;
    }

    std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
};

TEST_F(ConversionTest, TheStreamHearsAndGoesOn) {
    const Grant reader = hold_streamed(Mode::shared);
    const auto writer = convert(reader.lease, Mode::exclusive);
    pass(5s);
    ASSERT_TRUE(*writer && **writer);
    EXPECT_GT((***writer).lease.token, reader.lease.token);
    EXPECT_EQ(listener_->now, Mode::exclusive);
    const auto back = convert((***writer).lease, Mode::shared);
    pass(5s);
    ASSERT_TRUE(*back && **back);
    EXPECT_EQ(listener_->now, Mode::shared);
    EXPECT_TRUE(listener_->losses.empty());
}

// A copy of the first conversion runs after the second was told: it must not share what its holder
// believes to have alone.
TEST_F(ConversionTest, ADowngradeThatRunsLateDoesNothing) {
    const Grant first = hold_streamed(Mode::exclusive);
    store_.fates = {Fate::late};
    const auto shared = convert(first.lease, Mode::shared);
    pass(1s);  // the second copy is answered
    ASSERT_TRUE(*shared && **shared);
    const auto exclusive = convert((***shared).lease, Mode::exclusive);
    pass(100ms);
    ASSERT_TRUE(*exclusive && **exclusive);
    store_.run_late();
    AcquireRequest reader = request("a", "reader");
    reader.access = Access{Mode::shared};
    const auto other = acquire(reader);
    pass(2s);
    EXPECT_TRUE(failed_with(*other, Reason::lock_held));
    EXPECT_TRUE(listener_->losses.empty());
}

// A copy of the first conversion again: it must not take for itself what its holder was told to share.
TEST_F(ConversionTest, AnUpgradeThatRunsLateDoesNothing) {
    const Grant first = hold_streamed(Mode::shared);
    store_.fates = {Fate::late};
    const auto exclusive = convert(first.lease, Mode::exclusive);
    pass(200ms);  // the second copy is answered
    ASSERT_TRUE(*exclusive && **exclusive);
    const auto shared = convert((***exclusive).lease, Mode::shared);
    pass(1ms);
    ASSERT_TRUE(*shared && **shared);
    store_.run_late();
    AcquireRequest reader = request("a", "reader");
    reader.access = Access{Mode::shared};
    const auto other = acquire(reader);
    pass(2s);
    EXPECT_TRUE(*other && **other);
    EXPECT_EQ(listener_->now, Mode::shared);
    EXPECT_TRUE(listener_->losses.empty());
}

TEST_F(ConversionTest, AnUpgradeWhoseAnswerIsLostStandsAndTheWatchGoesOn) {
    const Grant reader = hold_streamed(Mode::shared);
    AcquireRequest other = request("a", "other");
    other.access = Access{Mode::shared};
    store_.fates = {Fate::lose_reply, Fate::lose_reply, Fate::lose_reply};
    const auto writer = convert(reader.lease, Mode::exclusive);
    pass(8s);
    EXPECT_TRUE(*writer);
    EXPECT_EQ(listener_->now, Mode::exclusive);  // told by a renewal, if not by the answer
    EXPECT_TRUE(listener_->losses.empty());
    EXPECT_EQ(manager_.counts().reaping, 0U);  // nothing is undone
    const auto refused = acquire(other);
    pass(100ms);
    EXPECT_TRUE(failed_with(*refused, Reason::lock_held));
}

TEST_F(ConversionTest, WhoWaitsToConvertAndGivesUpGoesOnSharing) {
    const Grant reader = hold_streamed(Mode::shared);
    AcquireRequest other = request("a", "other");
    other.access = Access{Mode::shared};
    other.max_hold = 60s;
    const auto second = acquire(other);
    store_.deliver();
    ASSERT_TRUE(*second && **second);
    const auto writer = convert(reader.lease, Mode::exclusive, 2s);
    pass(5s);
    EXPECT_TRUE(failed_with(*writer, Reason::lock_held));
    EXPECT_EQ(listener_->now, Mode::shared);
    EXPECT_TRUE(listener_->losses.empty());
    const auto third = acquire(other);  // no ticket bars it
    store_.deliver();
    EXPECT_TRUE(*third && **third);
}

TEST_F(ConversionTest, ARevokedLeaseEndsAtItsDeadlineAndNotBefore) {
    const Grant grant = hold_streamed(Mode::exclusive);
    bool done = false;
    manager_.revoke({grant.lease.name, {}, Revocation::yield, 2s, "please"},
                    kNever,
                    [&](const auto& holders) { done = holders && holders->size() == 1; });
    store_.deliver();
    EXPECT_TRUE(done);
    pass(1900ms);
    EXPECT_EQ(listener_->asked_to_yield, 1);  // by a renewal: no notice reaches us here
    EXPECT_TRUE(listener_->losses.empty());
    pass(1500ms);
    EXPECT_EQ(listener_->losses, std::vector{LossCause::revoked});
}

TEST_F(ConversionTest, ARevokedLeaseIsNotMadeToLastByConvertingIt) {
    const Grant grant = hold_streamed(Mode::exclusive);
    manager_.revoke(
        {grant.lease.name, {}, Revocation::lost, 0ms, "now"}, kNever, [](const auto&) {});
    store_.deliver();
    const Instant ends = store_.expiry("a");
    for (int i = 0; i < 5; ++i) {
        convert(grant.lease, Mode::shared);
        pass(200ms);
        convert(grant.lease, Mode::exclusive);
        pass(200ms);
    }
    EXPECT_GT(clock_.now(), ends);
    const auto other = acquire(request("a", "other"));
    store_.deliver();
    EXPECT_TRUE(*other && **other);
}

// Holder ids are any bytes; those of this test have NULs.
TEST_F(ConversionTest, TheNoticeOfARevocationCanBeRead) {
    std::vector<std::string> told;
    redis_.on_publish = [&](const std::string&, const std::string& payload) {
        told.push_back(payload);
    };
    const Grant grant = hold_streamed(Mode::exclusive);
    ASSERT_NE(grant.lease.holder.view().find('\0'), std::string_view::npos);
    test::FakeStore operators{redis_, clock_, "station2"};
    operators.revoke(
        {grant.lease.name, {}, Revocation::lost, 0ms, "a reason"}, 1s, [](const auto&) {});
    told.clear();
    operators.deliver();
    ASSERT_EQ(told.size(), 1U);
    const auto notice = store::Notices{"hf:"}.parse(told.front());
    ASSERT_TRUE(notice);
    EXPECT_EQ(notice->kind, store::Notice::Kind::revoked);
    EXPECT_EQ(notice->holder, grant.lease.holder);
    EXPECT_EQ(notice->how, Revocation::lost);
    EXPECT_EQ(notice->reason, "a reason");
    EXPECT_EQ(notice->name, grant.lease.name);
}

}  // namespace
}  // namespace holdfast::core
