#include "cli/keeper.hpp"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Keeper, OnlyALeaseThatIsJustNotRenewedIsStillOurs) {
    Told over{Told::Kind::over, {}, {}};
    EXPECT_TRUE(may_be_anothers(over)) << "what we found out ourselves";
    over.event.mutable_released()->set_verdict(v1::VERDICT_HELD_THROUGHOUT);
    EXPECT_TRUE(may_be_anothers(over));
    for (const auto cause :
         {v1::LOSS_CAUSE_UNSPECIFIED, v1::LOSS_CAUSE_TAKEN, v1::LOSS_CAUSE_MOVED}) {
        over.event.mutable_lost()->set_cause(cause);
        EXPECT_TRUE(may_be_anothers(over)) << v1::LossCause_Name(cause);
    }
    for (const auto cause :
         {v1::LOSS_CAUSE_DEADLINE, v1::LOSS_CAUSE_REVOKED, v1::LOSS_CAUSE_MAX_HOLD}) {
        over.event.mutable_lost()->set_cause(cause);
        EXPECT_FALSE(may_be_anothers(over)) << v1::LossCause_Name(cause);
    }
}

}  // namespace
}  // namespace holdfast::cli
