#include "cli/lease_view.hpp"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

v1::Lease lease(std::uint64_t anchor,
                std::uint64_t elapsed,
                std::uint64_t safe,
                std::uint64_t ttl = 2000) {
    v1::Lease lease;
    lease.set_ttl_ms(ttl);
    lease.set_anchor(anchor);
    lease.set_elapsed_ms(elapsed);
    lease.set_safe_for_ms(safe);
    return lease;
}

v1::LeaseEvent granted(const v1::Lease& lease) {
    v1::LeaseEvent event;
    *event.mutable_granted()->mutable_lease() = lease;
    return event;
}

v1::LeaseEvent renewed(const v1::Lease& lease) {
    v1::LeaseEvent event;
    *event.mutable_renewed()->mutable_lease() = lease;
    return event;
}

TEST(LeaseView, CountsFromTheSendOfItsAnchor) {
    LeaseView view;
    EXPECT_EQ(view.safe_for(0s), 0ms);
    view.opened(100s);
    view.told(granted(lease(7, 500, 1900)));
    EXPECT_EQ(view.believe_until(), 102'400ms);
    EXPECT_EQ(view.safe_for(102s), 400ms);
    EXPECT_EQ(view.safe_for(103s), 0ms);
    view.told(renewed(lease(7, 1200, 2000)));
    EXPECT_EQ(view.believe_until(), 103'200ms);
}

TEST(LeaseView, AnUnknownAnchorTellsNothing) {
    LeaseView view;
    view.opened(100s);
    view.told(granted(lease(7, 0, 2000)));
    // Somebody's Renew became the anchor, and its answer is not here yet.
    view.told(renewed(lease(8, 0, 2000)));
    EXPECT_EQ(view.believe_until(), 102s);
    view.renewed(lease(8, 10, 1990), 110s);
    view.told(renewed(lease(8, 700, 2000)));
    EXPECT_EQ(view.believe_until(), 112'700ms);
}

TEST(LeaseView, NothingMakesTheDeadlineEarlier) {
    LeaseView view;
    view.opened(100s);
    view.told(granted(lease(7, 0, 2000)));
    view.told(renewed(lease(7, 100, 100)));
    EXPECT_EQ(view.believe_until(), 102s);
}

TEST(LeaseView, AnAnchorServesForAHundredTtlsAndTenMinutes) {
    LeaseView view;
    view.opened(100s);
    view.told(granted(lease(7, 0, 2000)));
    EXPECT_EQ(view.new_anchor_at(), 200s);
    view.told(renewed(lease(7, 200'000, 2000)));
    EXPECT_EQ(view.believe_until(), 302s);
    view.told(renewed(lease(7, 200'001, 2000)));
    EXPECT_EQ(view.believe_until(), 302s) << "it is too old";
    view.renewed(lease(8, 0, 2000), 301s);
    EXPECT_EQ(view.new_anchor_at(), 401s);
    view.told(renewed(lease(8, 600, 2000)));
    EXPECT_EQ(view.believe_until(), 303'600ms);

    LeaseView slow;
    slow.opened(100s);
    slow.told(granted(lease(7, 0, 30'000, 30'000)));
    EXPECT_EQ(slow.new_anchor_at(), 100s + 5min);
    slow.told(renewed(lease(7, 600'001, 30'000, 30'000)));
    EXPECT_EQ(slow.believe_until(), 130s);
}

TEST(LeaseView, AGrantAfterALongWaitIsNotBelievedByItsOpening) {
    LeaseView view;
    view.opened(100s);
    view.told(granted(lease(7, 200'001, 2000)));
    EXPECT_EQ(view.believe_until(), 0s);
    view.renewed(lease(8, 5, 1990), 301s);
    EXPECT_EQ(view.believe_until(), 302'995ms);
}

TEST(LeaseView, AResumedStreamHasAnAnchorOfItsOwn) {
    LeaseView view;
    view.opened(100s);
    view.told(granted(lease(7, 0, 2000)));
    view.opened(101s);
    view.told(granted(lease(9, 20, 1980)));
    EXPECT_EQ(view.believe_until(), 103s);
    view.told(renewed(lease(9, 900, 2000)));
    EXPECT_EQ(view.believe_until(), 103'900ms);
}

}  // namespace
}  // namespace holdfast::cli
