// The verbs that look and intervene: what they ask of a daemon, which here is one of the test, and how
// they end.

#include "fixture.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"

#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

class FakeAdmin final : public pb::AdminService::Service {
public:
    using Context = grpc::ServerContext;

    pb::RevokeRequest revoke;
    pb::ForceReleaseRequest force_release;

    grpc::Status Revoke(Context*,
                        const pb::RevokeRequest* request,
                        pb::RevokeResponse* response) override {
        revoke = *request;
        if (request->name() == "held") {
            response->add_asked()->set_owner("him");
        }
        return {};
    }
    grpc::Status ForceRelease(Context*,
                              const pb::ForceReleaseRequest* request,
                              pb::ForceReleaseResponse* response) override {
        force_release = *request;
        response->add_released()->set_owner("him");
        response->set_free_in_ms(request->immediate() ? 0 : 9000);
        return {};
    }
    grpc::Status Explain(Context*,
                         const pb::ExplainRequest* request,
                         pb::ExplainResponse* response) override {
        response->mutable_lock()->set_name(request->name());
        response->add_silent_daemons("d2");
        return {};
    }
    grpc::Status ListSessions(Context*,
                              const pb::ListSessionsRequest* request,
                              pb::ListSessionsResponse* response) override {
        response->add_sessions()->set_peer(request->all_daemons() ? "of all" : "of one");
        return {};
    }
    grpc::Status Drain(Context*,
                       const pb::DrainRequest* request,
                       pb::DrainResponse* /*response*/) override {
        return request->deadline_ms() == 3000
                   ? grpc::Status::OK
                   : grpc::Status{grpc::StatusCode::INVALID_ARGUMENT, "3 s were expected"};
    }
};

class FakeWatch final : public pb::LockService::Service {
public:
    grpc::Status Watch(grpc::ServerContext*,
                       const pb::WatchRequest* request,
                       grpc::ServerWriter<pb::WatchEvent>* writer) override {
        pb::WatchEvent event;
        event.mutable_snapshot()->set_name(request->has_prefix() ? request->prefix() + "/1"
                                                                 : request->name());
        writer->Write(event);
        event.mutable_snapshot_end();
        writer->Write(event);
        return {grpc::StatusCode::UNAVAILABLE, "going away"};
    }
};

class OperatorCli : public testing::Test {
protected:
    OperatorCli() {
        grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
        builder.RegisterService(&admin_);
        builder.RegisterService(&watch_);
        server_ = builder.BuildAndStart();
    }
    ~OperatorCli() override { server_->Shutdown(std::chrono::system_clock::now() + 5s); }

    Outcome holdfast(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), program("holdfast"));
        return run_program(arguments, {{"HOLDFAST_SERVER", "127.0.0.1:" + std::to_string(port_)}});
    }

    FakeAdmin admin_;
    FakeWatch watch_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> server_;
};

TEST_F(OperatorCli, RevokeAsksTheHolder) {
    const Outcome asked =
        holdfast({"revoke", "held", "--token", "17", "--deadline", "30s", "--reason", "noon"});
    EXPECT_EQ(asked.code, 0) << asked.output;
    EXPECT_EQ(asked.output, "asked: him (token 0)\n");
    EXPECT_EQ(admin_.revoke.fencing_token(), 17U);
    EXPECT_EQ(admin_.revoke.deadline_ms(), 30'000U);
    EXPECT_EQ(admin_.revoke.reason(), "noon");
    EXPECT_EQ(holdfast({"revoke", "free"}).code, 5);
}

TEST_F(OperatorCli, ForceReleaseWarnsOnlyIfExclusionMayBreak) {
    EXPECT_EQ(holdfast({"force-release", "held"}).output,
              "taken from: him (token 0)\nfree in 9s\n");
    EXPECT_FALSE(admin_.force_release.immediate());
    const Outcome now = holdfast({"force-release", "held", "--immediate"});
    EXPECT_EQ(now.code, 0);
    EXPECT_TRUE(admin_.force_release.immediate());
    EXPECT_THAT(now.output, HasSubstr("exclusion may be broken"));
    EXPECT_THAT(now.output, HasSubstr("free now\n"));
}

TEST_F(OperatorCli, TheOthersLook) {
    EXPECT_EQ(holdfast({"explain", "job"}).output,
              "name:     job\nnobody holds it\nno answer from: d2\n");
    EXPECT_THAT(holdfast({"-o", "json", "explain", "job"}).output,
                HasSubstr("\"silent_daemons\":[\"d2\"]"));
    EXPECT_THAT(holdfast({"sessions"}).output, HasSubstr("of one"));
    EXPECT_THAT(holdfast({"sessions", "--all"}).output, HasSubstr("of all"));
    EXPECT_EQ(holdfast({"drain", "--deadline", "3s"}).output, "draining\n");
    EXPECT_EQ(holdfast({"drain", "--deadline", "4s"}).code, 2);
}

TEST_F(OperatorCli, WatchPrintsUntilTheDaemonGoes) {
    const Outcome one = holdfast({"watch", "job"});
    EXPECT_EQ(one.code, 69);
    EXPECT_THAT(one.output, HasSubstr("is       job: free; 0 waiting\nwatching\n"));
    EXPECT_THAT(holdfast({"-o", "json", "watch", "--prefix", "jobs"}).output,
                HasSubstr("{\"event\":\"snapshot\",\"lock\":{\"name\":\"jobs/1\""));
    EXPECT_EQ(holdfast({"watch"}).code, 2);
    EXPECT_EQ(holdfast({"watch", "job", "--prefix", "jobs"}).code, 2);
}

}  // namespace
}  // namespace holdfast::e2e
