// lock_delay_ms and priority: when a lock is granted, and to whom, beside the order of arrival.

#include "core_fixture.hpp"

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

class LockDelayTest : public CoreTest {
protected:
    Grant hold_with_delay(Milliseconds delay) {
        AcquireRequest asked = request("a");
        asked.lock_delay = delay;
        return hold(std::move(asked));
    }
    // When a waiter that came now is granted the lock.
    Instant next_grant() {
        const auto answer = acquire(waiting("a", "next"));
        while (!*answer) {
            pass(1ms);
        }
        EXPECT_TRUE(**answer);
        return clock_.now();
    }
};

TEST_F(LockDelayTest, AfterALeaseThatEndedByItselfTheLockRests) {
    hold_with_delay(3s);
    const Instant ends = store_.expiry("a");
    const Instant granted = next_grant();
    EXPECT_GE(granted, ends + 3s);
    EXPECT_LE(granted, ends + 3s + 50ms);
}

TEST_F(LockDelayTest, AReleaseThatCameTooLateChangesNothingAboutThat) {
    const Grant grant = hold_with_delay(3s);
    const Instant ends = store_.expiry("a");
    pass(2s);
    manager_.release(grant.lease, kNever, [](const Result<Released>& released) {
        EXPECT_TRUE(released && released->verdict == Verdict::already_expired);
    });
    store_.deliver();
    EXPECT_GE(next_grant(), ends + 3s);
}

TEST_F(LockDelayTest, AfterAReleaseInTimeThereIsNone) {
    const Grant grant = hold_with_delay(3s);
    manager_.release(grant.lease, kNever, [](const auto&) {});
    store_.deliver();
    const Instant before = clock_.now();
    EXPECT_LE(next_grant(), before + 10ms);
}

TEST_F(LockDelayTest, TheDelayIsThatOfTheLeaseThatWasLost) {
    hold_with_delay(3s);
    next_grant();  // without one
    const Instant ends = store_.expiry("a");
    const Instant granted = next_grant();
    EXPECT_GE(granted, ends);
    EXPECT_LE(granted, ends + 50ms);
}

TEST_F(CoreTest, PriorityCountsAsSecondsOfWaiting) {
    const Grant held = hold("a", 60s);
    const auto patient = acquire(waiting("a", "patient"));
    pass(8s);
    const auto early = acquire(waiting("a", "early"));
    pass(3s);
    AcquireRequest urgent = waiting("a", "urgent");
    urgent.priority = 10;  // as if it had come 10 s ago: after patient, before early
    const auto pressing = acquire(urgent);
    AcquireRequest lazy = waiting("a", "lazy");
    lazy.priority = -10;
    const auto last = acquire(lazy);
    pass(1s);
    const auto usual = acquire(waiting("a", "usual"));
    pass(1s);
    manager_.release(held.lease, kNever, [](const auto&) {});
    std::vector<std::string> order;
    const std::vector<std::pair<std::string, std::shared_ptr<Answer>>> all{{"patient", patient},
                                                                           {"urgent", pressing},
                                                                           {"early", early},
                                                                           {"usual", usual},
                                                                           {"lazy", last}};
    std::vector<bool> seen(all.size());
    while (order.size() < all.size()) {
        pass(10ms);
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (*all[i].second && !seen[i]) {
                seen[i] = true;
                order.push_back(all[i].first);
                manager_.release((***all[i].second).lease, kNever, [](const auto&) {});
            }
        }
    }
    EXPECT_EQ(order, (std::vector<std::string>{"patient", "urgent", "early", "usual", "lazy"}));
}

}  // namespace
}  // namespace holdfast::core
