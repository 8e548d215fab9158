// A lease that goes from daemon to daemon: resumed by its client, or offered by a daemon that drains.

#include "core_fixture.hpp"
#include "store/notices.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;
using test::Fate;

class ResumeTest : public CoreTest {
protected:
    // Another daemon on the same store.
    struct Other {
        Other(ResumeTest& test, const std::string& station)
            : channel(store::Notices::channel_of(station)),
              store(test.redis_, test.clock_, station),
              manager(test.clock_, timers, store, test.ids_, test.observer_, test.feed_, {}) {}

        // `answer` comes when the store answers.
        void ask(LockManager::ResumeRequest request) {
            request.ttl = Ttl{1000ms};
            answer.reset();
            manager.resume(std::move(request), [this](auto result) { answer = std::move(result); });
        }
        bool resume(LockManager::ResumeRequest request) {
            ask(std::move(request));
            store.deliver();
            return answer && *answer;
        }

        const std::string channel;
        TimerQueue timers;
        test::FakeStore store;
        LockManager manager;
        Answer answer;
    };

    void SetUp() override {
        redis_.on_publish = [this](const std::string& channel, const std::string& payload) {
            for (Other* other : {&second_, &third_}) {
                const auto notice = store::Notices{"hf:"}.parse(payload);
                if (channel == other->channel && notice &&
                    notice->kind == store::Notice::Kind::moved) {
                    other->manager.moved(notice->holder);
                }
            }
        };
    }

    void pass_everywhere(Duration time) {
        const Instant end = clock_.now() + time;
        while (clock_.now() < end) {
            clock_.set(std::min(end, clock_.now() + 10ms));
            timers_.fire(clock_.now());
            store_.deliver();
            for (Other* other : {&second_, &third_}) {
                other->timers.fire(clock_.now());
                other->store.deliver();
            }
        }
    }

    Grant hold_streamed() {
        AcquireRequest asked = request("a");
        asked.listener = std::make_shared<RecordingListener>();
        return hold(std::move(asked));
    }

    Other second_{*this, "station2"};
    Other third_{*this, "station3"};
    std::shared_ptr<RecordingListener> listener_ = std::make_shared<RecordingListener>();
};

// Its client has left the stream that asked, and goes on at the third daemon.
class ResumeOfAGoneStream : public ResumeTest {
protected:
    // The second daemon's command meets `fate`; then its client leaves and resumes at the third.
    void leave_for_the_third(Fate fate, bool before_the_failure) {
        lease_ = hold_streamed().lease;
        const auto left = std::make_shared<RecordingListener>();
        second_.store.fates = {fate};
        second_.ask({.lease = lease_, .listener = left});
        left->open = !before_the_failure;
        second_.store.deliver();
        left->open = false;
        ASSERT_TRUE(third_.resume({.lease = lease_, .listener = listener_}));
        pass_everywhere(5s);
    }
    void expect_left_alone() {
        EXPECT_TRUE(listener_->losses.empty()) << to_string(listener_->losses.front());
        EXPECT_GT(listener_->renewals, 10);
        EXPECT_TRUE(store_.held("a"));
        EXPECT_EQ(second_.store.calls["adopt"], 1);
        EXPECT_EQ(second_.store.calls["release"] + second_.store.calls["cancel"], 0);
        EXPECT_EQ(second_.store.calls["renew"], 0);
    }

    Lease lease_{name_of("a"), {}, {}};
};

TEST_F(ResumeOfAGoneStream, IsNotAskedAgainWhenItIsKnownAtTheFailure) {
    leave_for_the_third(Fate::lose_request, true);
    expect_left_alone();
    EXPECT_TRUE(failed_with(second_.answer, Reason::outcome_unknown));
}

TEST_F(ResumeOfAGoneStream, IsNotAskedAgainWhenItIsKnownLater) {
    leave_for_the_third(Fate::lose_request, false);
    expect_left_alone();
    EXPECT_TRUE(failed_with(second_.answer, Reason::outcome_unknown));
}

TEST_F(ResumeOfAGoneStream, IsSaidToHaveDoneNothingIfSo) {
    leave_for_the_third(Fate::refuse, false);
    expect_left_alone();
    EXPECT_TRUE(failed_with(second_.answer, Reason::store_unavailable));
}

TEST_F(ResumeOfAGoneStream, LeavesTheLeaseAloneIfItWasExecuted) {
    leave_for_the_third(Fate::lose_reply, false);
    expect_left_alone();
}

TEST_F(ResumeTest, IsAskedAgainWhileItsStreamStands) {
    const Lease lease = hold_streamed().lease;
    second_.store.fates = {Fate::lose_request, Fate::refuse, Fate::lose_reply};
    second_.ask({.lease = lease, .listener = listener_});
    pass_everywhere(1s);
    EXPECT_TRUE(second_.answer && *second_.answer);
    pass_everywhere(5s);
    EXPECT_TRUE(listener_->losses.empty());
    EXPECT_TRUE(store_.held("a"));
}

// What a daemon offers that goes away: the lease is watched for nobody.
class OfferTest : public ResumeTest {
protected:
    LockManager::ResumeRequest offer(std::string from = "station1") const {
        return {.lease = lease_, .max_hold = 60s, .from = std::move(from)};
    }
    // With this daemon as its watch.
    void grant(Mode mode) {
        AcquireRequest asked = request("a");
        asked.max_hold = 60s;
        asked.access = Access{mode};
        const auto answer = acquire(asked);
        store_.deliver();
        ASSERT_TRUE(*answer && **answer);
        lease_ = (***answer).lease;
    }

    Lease lease_{name_of("a"), {}, {}};
};

class LateOfferTest : public OfferTest, public testing::WithParamInterface<Mode> {};

TEST_P(LateOfferTest, DoesNotTakeTheLeaseFromTheStreamThatHasResumedIt) {
    grant(GetParam());
    ASSERT_TRUE(third_.resume({.lease = lease_, .listener = listener_}));
    manager_.moved(lease_.holder);
    EXPECT_FALSE(second_.resume(offer()));
    pass_everywhere(5s);
    EXPECT_TRUE(listener_->losses.empty()) << to_string(listener_->losses.front());
    EXPECT_GT(listener_->renewals, 10);
    EXPECT_EQ(second_.store.calls["renew"], 0);
}

TEST_P(LateOfferTest, IsTakenUpOnce) {
    grant(GetParam());
    EXPECT_TRUE(third_.resume(offer()));
    manager_.moved(lease_.holder);
    EXPECT_FALSE(second_.resume(offer()));
    pass_everywhere(5s);
    EXPECT_EQ(second_.store.calls["renew"], 0);
    EXPECT_GT(third_.store.calls["renew"], 10);
}

INSTANTIATE_TEST_SUITE_P(Modes, LateOfferTest, testing::Values(Mode::exclusive, Mode::shared));

TEST_F(OfferTest, IsTakenUpEvenIfTheFirstAnswerIsLost) {
    grant(Mode::exclusive);
    second_.store.fates = {Fate::lose_reply};
    second_.ask(offer());
    second_.store.deliver();
    manager_.moved(lease_.holder);
    pass_everywhere(5s);
    EXPECT_TRUE(second_.answer && *second_.answer);
    EXPECT_GT(second_.store.calls["renew"], 10);
    EXPECT_TRUE(store_.held("a"));
}

// Its client has resumed it here, and left: it ends with its ttl, as told.
TEST_F(OfferTest, DoesNotBringBackWhatAStreamHasLeftHere) {
    grant(Mode::exclusive);
    ASSERT_TRUE(second_.resume({.lease = lease_, .listener = listener_}));
    manager_.moved(lease_.holder);
    second_.manager.detach(lease_, listener_.get(), 0ms);
    EXPECT_FALSE(second_.resume(offer()));
    pass_everywhere(2s);
    EXPECT_FALSE(store_.held("a"));
}

}  // namespace
}  // namespace holdfast::core
