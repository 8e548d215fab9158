// AdminService against the built daemon.

#include "fixture.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"

#include <grpcpp/channel.h>

namespace holdfast::e2e {
namespace {

class AdminTest : public ::testing::Test {
protected:
    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}, {{"HOLDFAST_SERVER_NAME", "first"}}};
    Client client_{daemon_.address()};

    static std::unique_ptr<pb::AdminService::Stub> admin(const Client& client) {
        return pb::AdminService::NewStub(client.channel());
    }
    static pb::GetStatusResponse status(const Client& client) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 10s);
        pb::GetStatusResponse response;
        const auto answer = admin(client)->GetStatus(&context, {}, &response);
        EXPECT_TRUE(answer.ok()) << answer.error_message();
        return response;
    }
};

TEST_F(AdminTest, StatusTellsOfTheDaemon) {
    ASSERT_TRUE(client_.acquire("status").ok());
    const auto told = status(client_);
    EXPECT_EQ(told.version().find("0."), 0U);
    EXPECT_EQ(told.daemon(), "first");
    EXPECT_TRUE(told.ready());
    EXPECT_EQ(told.reasons_size(), 0);
    EXPECT_EQ(told.leases(), 1U);
    EXPECT_EQ(told.waiting(), 0U);
    EXPECT_GT(told.uptime_ms(), 0U);
    EXPECT_EQ(daemon_.sample("holdfast_rpcs_total{code=\"OK\",method=\"GetStatus\"}"), 1);
}

TEST_F(AdminTest, StatusSaysWhyTheDaemonIsNotReady) {
    redis_.process().kill_and_wait();
    ASSERT_TRUE(daemon_.wait_serving(false));
    const auto told = status(client_);
    EXPECT_FALSE(told.ready());
    ASSERT_EQ(told.reasons_size(), 1);
    EXPECT_EQ(told.reasons(0).find("store: "), 0U);
}

TEST_F(AdminTest, DaemonWithoutANameIsCalledByHostAndProcess) {
    const Daemon other{{"--store", redis_.url()}};
    const Client client{other.address()};
    EXPECT_NE(status(client).daemon().find(':'), std::string::npos);
}

}  // namespace
}  // namespace holdfast::e2e
