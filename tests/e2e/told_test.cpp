// holdfast run beside a daemon that says what the test wants: events that a real one says rarely, or
// never.

#include "fixture.hpp"

#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <functional>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kAnchor = 7;

pb::Lease lease(std::uint64_t ttl_ms, std::uint64_t token = 41, const std::string& name = "job") {
    pb::Lease lease;
    lease.set_lease_id("the-lease");
    lease.set_name(name);
    lease.set_fencing_token(token);
    lease.set_ttl_ms(ttl_ms);
    lease.set_safe_for_ms(ttl_ms);
    lease.set_anchor(kAnchor);
    return lease;
}

class FakeLocks final : public pb::LockService::Service {
public:
    using Context = grpc::ServerContext;
    using Writer = grpc::ServerWriter<pb::LeaseEvent>;

    // What Hold says; the stream stays open until the client goes.
    std::function<void(Context&, Writer&)> on_hold = [](Context&, Writer&) {};
    std::uint64_t ttl_ms = 2000;
    bool renews = true;
    std::atomic<int> renewed{0};
    std::atomic<int> released{0};

    static void grant(Writer& writer, std::uint64_t ttl) {
        pb::LeaseEvent event;
        event.set_lease_id("the-lease");
        *event.mutable_granted()->mutable_lease() = lease(ttl);
        writer.Write(event);
    }

    grpc::Status Hold(Context* context, const pb::AcquireRequest*, Writer* writer) override {
        grant(*writer, ttl_ms);
        on_hold(*context, *writer);
        while (!context->IsCancelled()) {
            test::pause_briefly();
        }
        return {};
    }
    grpc::Status AcquireAll(Context*,
                            const pb::AcquireAllRequest* request,
                            pb::AcquireAllResponse* response) override {
        response->set_lease_id("the-lease");
        std::uint64_t token = 41;
        for (const std::string& name : request->names()) {
            *response->add_leases() = lease(ttl_ms, token++, name);
        }
        return {};
    }
    grpc::Status Renew(Context*,
                       const pb::RenewRequest* request,
                       pb::RenewResponse* response) override {
        EXPECT_EQ(request->lease_id(), "the-lease");
        EXPECT_EQ(request->ttl_ms(), ttl_ms);
        ++renewed;
        *response->mutable_lease() = lease(ttl_ms);
        return renews ? grpc::Status::OK : grpc::Status{grpc::StatusCode::UNAVAILABLE, "not now"};
    }
    grpc::Status Release(Context*,
                         const pb::ReleaseRequest*,
                         pb::ReleaseResponse* response) override {
        ++released;
        response->set_verdict(pb::VERDICT_HELD_THROUGHOUT);
        return {};
    }
};

class Told : public testing::Test {
protected:
    Told() {
        grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
        builder.RegisterService(&locks_);
        server_ = builder.BuildAndStart();
    }
    ~Told() override { server_->Shutdown(std::chrono::system_clock::now() + 5s); }

    Outcome run(const std::string& script, const std::vector<std::string>& names = {"job"}) const {
        std::vector<std::string> arguments{
            program("holdfast"), "--server", "127.0.0.1:" + std::to_string(port_), "run"};
        arguments.insert(arguments.end(), names.begin(), names.end());
        const std::string ttl = std::to_string(locks_.ttl_ms) + "ms";
        arguments.insert(arguments.end(), {"--ttl", ttl, "--", "sh", "-c", script});
        return run_program(arguments);
    }

    FakeLocks locks_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> server_;
};

TEST_F(Told, ARevokeAsksTheCommandToEnd) {
    locks_.ttl_ms = 20'000;
    test::TempDir directory;
    const std::string ready = directory.file("ready");
    locks_.on_hold = [ready](FakeLocks::Context&, FakeLocks::Writer& writer) {
        eventually([&] { return !test::read_file(ready).empty(); });
        pb::LeaseEvent event;
        event.mutable_revoke_requested()->set_deadline_in_ms(10'000);
        event.mutable_revoke_requested()->set_reason("maintenance\x1b");
        writer.Write(event);
    };
    const Outcome done = run("trap 'echo cleaned up; exit 3' TERM; echo >" + ready +
                             "; while :; do sleep 0.05; done");
    EXPECT_EQ(done.code, 3) << "it ended with the lock in its hands";
    EXPECT_THAT(done.output, HasSubstr("given up within 10s (maintenance\\x1b)"));
    EXPECT_THAT(done.output, HasSubstr("cleaned up"));
    EXPECT_EQ(locks_.released, 1);
}

TEST_F(Told, AStreamThatSaysNothingIsMadeUpForByRenewing) {
    const Outcome done = run("sleep 5; exit 7");
    EXPECT_EQ(done.code, 7) << done.output;
    EXPECT_GE(locks_.renewed, 3);
}

// Were it believed, the command would go on for as long as these come.
TEST_F(Told, AnEventOfAnUnknownAnchorExtendsNothing) {
    locks_.renews = false;
    locks_.on_hold = [this](FakeLocks::Context& context, FakeLocks::Writer& writer) {
        pb::LeaseEvent event;
        *event.mutable_renewed()->mutable_lease() = lease(locks_.ttl_ms);
        event.mutable_renewed()->mutable_lease()->set_anchor(kAnchor + 1);
        event.mutable_renewed()->mutable_lease()->set_elapsed_ms(1000);
        while (!context.IsCancelled() && writer.Write(event)) {
            test::pause_briefly();
        }
    };
    const auto begun = Steady::now();
    EXPECT_EQ(run("while :; do sleep 0.05; done").code, 76);
    EXPECT_LT(Steady::now() - begun, 6s);
    EXPECT_GE(locks_.renewed, 1);
}

TEST_F(Told, ALossIsActedOnAtOnce) {
    locks_.ttl_ms = 20'000;
    locks_.on_hold = [](FakeLocks::Context&, FakeLocks::Writer& writer) {
        pb::LeaseEvent event;
        event.mutable_lost()->set_cause(pb::LOSS_CAUSE_REVOKED);
        writer.Write(event);
    };
    const auto begun = Steady::now();
    const Outcome done = run("while :; do sleep 0.05; done");
    EXPECT_EQ(done.code, 76);
    EXPECT_LT(Steady::now() - begun, 10s);
    EXPECT_THAT(done.output,
                HasSubstr("the lock was lost, and the command was ended: it was revoked"));
    EXPECT_EQ(locks_.released, 0) << "it is not ours to release";
}

TEST_F(Told, SeveralLocksAreTakenTogetherAndRenewed) {
    const Outcome done =
        run("sleep 4; echo \"$HOLDFAST_LOCK $HOLDFAST_TOKEN $HOLDFAST_TOKENS\"; echo "
            "\"$HOLDFAST_LOCKS\"; "
            "exit 7",
            {"b c", "a"});
    EXPECT_EQ(done.code, 7);
    EXPECT_EQ(done.output, "b c 41 41 42\nb c\na\n");
    EXPECT_GE(locks_.renewed, 3);
    EXPECT_EQ(locks_.released, 1);
}

TEST_F(Told, SeveralLocksThatCannotBeRenewedEndTheCommandInTime) {
    locks_.renews = false;
    const auto begun = Steady::now();
    EXPECT_EQ(run("while :; do sleep 0.05; done", {"a", "b"}).code, 76);
    EXPECT_LT(Steady::now() - begun, 6s);
}

}  // namespace
}  // namespace holdfast::e2e
