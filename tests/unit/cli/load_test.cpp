#include "cli/load.hpp"

#include "cli/load_report.hpp"

#include <gmock/gmock.h>
#include <grpcpp/alarm.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

// Takes and gives back in turn; fails every tenth call. No network: an alarm is the answer.
class FakeClient final : public LoadClient {
public:
    std::size_t call(grpc::CompletionQueue& queue, void* tag) override {
        alarm_.Set(&queue, gpr_now(GPR_CLOCK_MONOTONIC), tag);
        ++calls;
        return holding_ ? 1 : 0;
    }
    std::string ended() override {
        holding_ = !holding_;
        return calls % 10 == 1 ? "no luck" : "";
    }
    bool busy() const override { return holding_; }

    std::uint64_t calls = 0;

private:
    grpc::Alarm alarm_;
    bool holding_ = false;
};

TEST(Load, CountsEveryCallAndStopsOnlyWhenNothingIsHeld) {
    std::vector<std::unique_ptr<LoadClient>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<FakeClient>());
    }
    const LoadResult result = run_load(clients, 2, 20ms);
    std::uint64_t calls = 0;
    for (const auto& client : clients) {
        EXPECT_FALSE(client->busy());
        calls += dynamic_cast<const FakeClient&>(*client).calls;
    }
    EXPECT_GE(calls, clients.size());
    EXPECT_EQ(result.succeeded() + result.failed(), calls);
    EXPECT_EQ(result.failures.at("no luck"), result.failed());
    EXPECT_GE(result.elapsed.count(), 0.02);
}

TEST(Load, PercentilesAreNearestRanks) {
    LoadResult::Kind kind;
    EXPECT_EQ(kind.percentile(99), 0U);
    for (std::uint32_t i = 1; i <= 200; ++i) {
        kind.latencies.push_back(i);
    }
    EXPECT_EQ(kind.percentile(0), 1U);
    EXPECT_EQ(kind.percentile(50), 100U);
    EXPECT_EQ(kind.percentile(99), 198U);
    EXPECT_EQ(kind.percentile(100), 200U);
}

TEST(Load, TheReportNamesCallsAndFailures) {
    LoadResult result;
    result.kinds.resize(1);
    result.kinds[0].latencies = {1000, 2500};
    result.elapsed = 2s;
    result.failures["no luck"] = 3;
    EXPECT_THAT(show(result, {"echo"}),
                testing::HasSubstr("all: 1 calls/s, 3 failed\n  3 x no luck"));
    EXPECT_THAT(show(result, {"echo"}), testing::HasSubstr("2.500"));
    EXPECT_THAT(to_json(result, {"echo"}), testing::HasSubstr(R"("p99_us":2500)"));
}

}  // namespace
}  // namespace holdfast::cli
