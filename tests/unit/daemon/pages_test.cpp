#include "daemon/pages.hpp"

#include <gmock/gmock.h>

#include <array>

namespace holdfast::daemon {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::array<std::string_view, 1> kMethods{"Acquire"};
constexpr std::array<std::string_view, 2> kCodes{"OK", "CANCELLED"};

ShardReport report(std::size_t leases, const std::string& error = {}) {
    ShardReport made;
    made.locks.leases = leases;
    made.store.last_error = error;
    made.store.commands.latencies.add(std::chrono::microseconds{100});
    return made;
}

class PagesTest : public testing::Test {
protected:
    admin::Page page(const std::string& path) {
        return make_pages(readiness_, metrics_, [this] { return reports_; }).at(path)();
    }

    Readiness readiness_{1, [](const Condition&) {}};
    admin::Metrics metrics_{kMethods, kCodes};
    std::vector<std::optional<ShardReport>> reports_{report(2), report(3)};
};

TEST_F(PagesTest, AShardThatDoesNotAnswerIsNotAlive) {
    EXPECT_EQ(page("/livez").status, 200U);
    reports_[1].reset();
    EXPECT_EQ(page("/livez").status, 503U);
    EXPECT_THAT(page("/livez").body, HasSubstr("shard 1"));
    EXPECT_THAT(page("/metrics").body, HasSubstr("holdfast_shards_silent 1\n"));
}

TEST_F(PagesTest, ReadyzGivesTheReason) {
    EXPECT_EQ(page("/readyz").status, 503U);
    readiness_.report(std::vector<Check>{});
    readiness_.report(0, {Condition::Level::down, "it does not answer"});
    EXPECT_EQ(page("/readyz").body, "not ready: store: it does not answer\n");
    readiness_.report(0, {});
    EXPECT_EQ(page("/readyz").status, 200U);
    readiness_.report({{"memory", Severity::warning, "it is full"},
                       {"role", Severity::refused, "it is a replica"},
                       {"server"}});
    EXPECT_EQ(page("/readyz").body,
              "not ready: store: it is a replica\nwarning: store: it is full\n");
    EXPECT_EQ(page("/readyz").status, 503U);
    EXPECT_THAT(page("/metrics").body,
                AllOf(HasSubstr("holdfast_store_check{check=\"memory\"} 1\n"),
                      HasSubstr("holdfast_store_check{check=\"role\"} 2\n"),
                      HasSubstr("holdfast_store_check{check=\"server\"} 0\n")));
    readiness_.report({{"memory", Severity::warning, "it is full"}});
    EXPECT_EQ(page("/readyz").body, "ready\nwarning: store: it is full\n");
    readiness_.report(std::vector<Check>{});
    readiness_.drain();
    EXPECT_EQ(page("/readyz").body, "not ready: draining\n");
}

TEST_F(PagesTest, MetricsAddUpTheShards) {
    EXPECT_THAT(page("/metrics").body, HasSubstr("holdfast_leases 5\n"));
    // A duration on a bound belongs below it.
    EXPECT_THAT(page("/metrics").body,
                HasSubstr("holdfast_redis_command_duration_seconds_bucket{le=\"0.0001\"} 2\n"));
}

TEST_F(PagesTest, MetricsCountRpcsByMethodAndCode) {
    metrics_.rpc_finished(0, 0, std::chrono::milliseconds{3});
    metrics_.rpc_finished(0, 0, std::chrono::milliseconds{3});
    metrics_.rpc_finished(0, 1, std::chrono::minutes{3});
    const std::string text = page("/metrics").body;
    EXPECT_THAT(text, HasSubstr(R"(holdfast_rpcs_total{code="OK",method="Acquire"} 2)"));
    EXPECT_THAT(text, HasSubstr(R"(holdfast_rpcs_total{code="CANCELLED",method="Acquire"} 1)"));
    EXPECT_THAT(text, HasSubstr(R"(duration_seconds_bucket{method="Acquire",le="0.005"} 2)"));
    EXPECT_THAT(text, HasSubstr(R"(duration_seconds_bucket{method="Acquire",le="+Inf"} 3)"));
}

}  // namespace
}  // namespace holdfast::daemon
