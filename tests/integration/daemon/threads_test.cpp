// What crosses threads: a shard's inbox and timers, and the whole daemon in this process, as its
// composition root makes it. Here for the thread sanitizer, too.

#include "core/shards.hpp"
#include "daemon/daemon.hpp"
#include "holdfast/v1/lock_service.grpc.pb.h"
#include "support/fake_store.hpp"
#include "support/no_feed.hpp"
#include "support/redis_process.hpp"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class Silent final : public core::Observer {
    void lease_at_risk(const core::Lease&, std::string_view) override {}
    void lease_recovered(const core::Lease&) override {}
    void lease_lost(const core::Lease&, core::LossCause) override {}
    void outcome_unknown(const core::LockName&) override {}
};

TEST(Shard, RunsWhatManyThreadsPostInOrderAndItsTimers) {
    core::SystemClock clock;
    core::Shard shard{clock};
    test::LuaRedis redis{test::time_of(clock)};
    test::FakeStore store{redis, clock};
    core::SystemHolderIds ids;
    Silent observer;
    test::NoFeed feed;
    core::LockManager manager{clock, shard.timers(), store, ids, observer, feed, {}};
    shard.start(manager);

    constexpr int kThreads = 4;
    constexpr int kPosts = 2000;
    std::vector<int> last(kThreads, -1);  // touched by the shard alone
    std::atomic<int> out_of_order{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < kPosts; ++i) {
                shard.post([&, t, i](core::LockManager&) {
                    auto& before = last[static_cast<std::size_t>(t)];
                    out_of_order += before + 1 == i ? 0 : 1;
                    before = i;
                });
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    std::promise<core::Instant> fired;
    core::Instant due{};
    std::unique_ptr<core::Timer> timer;
    shard.post([&](core::LockManager&) {
        timer = std::make_unique<core::Timer>(shard.timers());
        due = clock.now() + 20ms;
        timer->set(due, [&] { fired.set_value(clock.now()); });
    });
    const core::Instant at = fired.get_future().get();
    EXPECT_GE(at, due);
    shard.stop();
    EXPECT_EQ(out_of_order, 0);
    EXPECT_EQ(last, std::vector<int>(kThreads, kPosts - 1));
}

TEST(Daemon, ServesManyClientsAndStopsInTheMiddle) {
    const test::RedisProcess redis;
    const auto logger =
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
    daemon::Settings settings;
    settings.listen.grpc = {"127.0.0.1:0"};
    settings.listen.http = "127.0.0.1:0";
    settings.store.url = redis.url();
    settings.store.assume_new = true;
    settings.server.shards = 2;
    settings.server.queues = 2;
    settings.drain.timeout = 5s;
    daemon::Daemon holdfastd{settings, daemon::store_settings(settings), logger};
    holdfastd.start();
    ASSERT_EQ(holdfastd.readiness().wait(10s), daemon::Condition{});

    std::atomic<int> granted{0};
    std::atomic<bool> draining{false};
    std::vector<std::thread> clients;
    for (int c = 0; c < 6; ++c) {
        clients.emplace_back([&, c] {
            const auto channel = grpc::CreateChannel(holdfastd.addresses().front(),
                                                     grpc::InsecureChannelCredentials());
            const auto stub = v1::LockService::NewStub(channel);
            for (int i = 0; !draining; ++i) {
                grpc::ClientContext context;
                v1::AcquireRequest request;
                request.set_name("lock " + std::to_string((c + i) % 5));
                request.set_wait_ms(1000);
                v1::AcquireResponse response;
                const grpc::Status status = stub->Acquire(&context, request, &response);
                if (!status.ok()) {
                    draining = status.error_code() == grpc::StatusCode::UNAVAILABLE;
                    continue;
                }
                ++granted;
                grpc::ClientContext release_context;
                v1::ReleaseRequest release;
                release.set_lease_id(response.lease().lease_id());
                v1::ReleaseResponse released;
                if (stub->Release(&release_context, release, &released).ok()) {
                    EXPECT_EQ(released.verdict(), v1::VERDICT_HELD_THROUGHOUT);
                }
            }
        });
    }
    EXPECT_TRUE(test::eventually([&] { return granted > 300; }, 30s));
    holdfastd.stop();
    for (std::thread& client : clients) {
        client.join();
    }
    EXPECT_TRUE(draining);
}

}  // namespace
}  // namespace holdfast
