#include "daemon/logging.hpp"
#include "daemon/readiness.hpp"
#include "support/manual_clock.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::daemon {
namespace {

TEST(Readiness, IsReadyWhenEveryShardsStoreAnswers) {
    using Level = Condition::Level;
    std::vector<std::string> heard;
    Readiness readiness{2, [&](const Condition& now) { heard.push_back(now.why); }};
    readiness.report(0, {});
    EXPECT_EQ(readiness.wait(std::chrono::milliseconds{0}).level, Level::down);
    readiness.report(1, {});
    EXPECT_EQ(readiness.wait(std::chrono::milliseconds{0}).level, Level::down) << "not checked yet";
    readiness.report(std::vector<Check>{});
    EXPECT_EQ(readiness.wait(std::chrono::milliseconds{0}).level, Level::ready);
    readiness.report(1, {});
    readiness.report(1, {Level::closed, "forgetful"});
    EXPECT_TRUE(readiness.now().serves());
    readiness.report(0, {Level::down, "gone"});
    EXPECT_FALSE(readiness.now().serves());
    readiness.report(0, {});
    readiness.drain();
    readiness.report(1, {Level::down, "gone"});
    EXPECT_EQ(heard,
              (std::vector<std::string>{
                  "", "store: forgetful", "store: gone", "store: forgetful", "draining"}));
}

TEST(Readiness, WhatTheChecksRefuseIsNotReadyAndForbidsGrants) {
    using Level = Condition::Level;
    Readiness readiness{1, [](const Condition&) {}};
    readiness.report(0, {Level::closed, "forgetful"});
    readiness.report(
        {{"role", Severity::refused, "a replica"}, {"disk", Severity::warning, "full"}});
    EXPECT_EQ(readiness.now(), (Condition{Level::unfit, "store: a replica"}));
    EXPECT_TRUE(readiness.now().forbids_grants());
    EXPECT_FALSE(readiness.now().serves());
    EXPECT_EQ(readiness.reasons(),
              (std::vector<std::string>{"store: a replica", "store: forgetful"}));
    EXPECT_EQ(readiness.warnings(), std::vector<std::string>{"store: full"});
    readiness.report({{"role", Severity::fine, ""}});
    EXPECT_TRUE(readiness.now().serves());
    EXPECT_FALSE(readiness.now().forbids_grants());
}

TEST(LogObserver, SaysLittleWhenMuchHappens) {
    std::ostringstream text;
    const auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
    logger->set_pattern("%v");
    test::ManualClock clock;
    LogObserver observer{logger, clock};
    const core::Lease lease{*core::LockName::parse("a"), {}, {7}};
    for (int i = 0; i < 1000; ++i) {
        observer.lease_lost(lease, core::LossCause::deadline);
    }
    const auto lines = [&] {
        const std::string all = text.str();
        return std::count(all.begin(), all.end(), '\n');
    };
    EXPECT_EQ(lines(), LogObserver::kPerSecond);
    clock.advance(std::chrono::seconds{1});
    observer.lease_lost(lease, core::LossCause::taken);
    EXPECT_EQ(lines(), LogObserver::kPerSecond + 1);
    EXPECT_NE(text.str().find("left_out=990"), std::string::npos);
    EXPECT_NE(text.str().find("lock=\"a\" token=7"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::daemon
