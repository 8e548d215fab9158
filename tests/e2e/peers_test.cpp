// Daemons that know of each other: what they tell of each other, and what they leave to each other.

#include "fixture.hpp"
#include "holdfast/v1/admin_service.grpc.pb.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>

#include <csignal>
#include <future>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::ElementsAre;

class PeersTest : public ::testing::Test {
protected:
    static std::map<std::string, std::string> named(const std::string& name) {
        // Two shards: a lock's waiters are in another one at each daemon.
        return {{"HOLDFAST_SERVER_NAME", name},
                {"HOLDFAST_SERVER_SHARDS", "2"},
                {"HOLDFAST_DRAIN_TIMEOUT", "30s"}};
    }

    test::RedisProcess redis_;
    Daemon one_{{"--store", redis_.url()}, named("one")};
    Daemon two_{{"--store", redis_.url()}, named("two")};
    Client first_{one_.address()};
    Client second_{two_.address()};

    static std::unique_ptr<pb::AdminService::Stub> admin(const Client& client) {
        return pb::AdminService::NewStub(client.channel());
    }
    static void within(grpc::ClientContext& context) {
        context.set_deadline(std::chrono::system_clock::now() + 10s);
    }
    static pb::ExplainResponse explain(const Client& client, const std::string& name) {
        grpc::ClientContext context;
        within(context);
        pb::ExplainRequest request;
        request.set_name(name);
        pb::ExplainResponse response;
        const auto status = admin(client)->Explain(&context, request, &response);
        EXPECT_TRUE(status.ok()) << status.error_message();
        return response;
    }
    static pb::ListSessionsResponse sessions(const Client& client, bool all) {
        grpc::ClientContext context;
        within(context);
        pb::ListSessionsRequest request;
        request.set_all_daemons(all);
        pb::ListSessionsResponse response;
        const auto status = admin(client)->ListSessions(&context, request, &response);
        EXPECT_TRUE(status.ok()) << status.error_message();
        return response;
    }

    // A Hold that is read by nobody but the test.
    class Stream {
    public:
        Stream(Client& client, const pb::AcquireRequest& request)
            : reader_(client.stub().Hold(&context_, request)) {}
        ~Stream() { cancel(); }
        void cancel() { context_.TryCancel(); }
        pb::LeaseEvent next() {
            pb::LeaseEvent event;
            EXPECT_TRUE(reader_->Read(&event));
            return event;
        }

    private:
        grpc::ClientContext context_;
        std::unique_ptr<grpc::ClientReader<pb::LeaseEvent>> reader_;
    };
    static pb::AcquireRequest waiting(const std::string& name, const std::string& owner) {
        pb::AcquireRequest request = Client::request(name, 10s, 60s);
        request.set_owner(owner);
        return request;
    }
    // Waits until so many wait, as Explain says.
    bool wait_for_waiters(const std::string& name, int count) {
        return eventually([&] { return explain(first_, name).waiters_size() == count; });
    }
    static std::vector<std::string> owners(const pb::ExplainResponse& response) {
        std::vector<std::string> owners;
        for (const pb::Waiter& waiter : response.waiters()) {
            owners.push_back(waiter.owner() + "@" + waiter.daemon());
        }
        return owners;
    }
    static std::vector<std::string> happenings(const pb::ExplainResponse& response) {
        std::vector<std::string> found;
        for (const pb::Transition& one : response.transitions()) {
            found.push_back(one.what() + " " + one.owner() + "@" + one.daemon());
        }
        return found;
    }
};

TEST_F(PeersTest, ExplainShowsWhoWaitsAtEveryDaemonInTheOrderOfService) {
    ASSERT_TRUE(first_.acquire(waiting("stuck", "holder")).ok());
    const Stream a{second_, waiting("stuck", "a")};
    ASSERT_TRUE(wait_for_waiters("stuck", 1));
    const Stream b{first_, waiting("stuck", "b")};
    ASSERT_TRUE(wait_for_waiters("stuck", 2));
    const Stream c{second_, waiting("stuck", "c")};
    ASSERT_TRUE(wait_for_waiters("stuck", 3));
    pb::AcquireRequest urgent = waiting("stuck", "urgent");
    urgent.set_priority(10);
    const Stream d{first_, urgent};
    ASSERT_TRUE(wait_for_waiters("stuck", 4));
    for (const Client* client : {&first_, &second_}) {
        const auto told = explain(*client, "stuck");
        EXPECT_THAT(owners(told), ElementsAre("urgent@one", "a@two", "b@one", "c@two"));
        EXPECT_EQ(told.waiters(0).position(), 1U);
        EXPECT_EQ(told.waiters(0).priority(), 10);
        EXPECT_EQ(told.waiters(3).position(), 4U);
        EXPECT_GE(told.waiters(1).waiting_for_ms(), told.waiters(2).waiting_for_ms());
        ASSERT_EQ(told.lock().holders_size(), 1);
        EXPECT_EQ(told.lock().holders(0).owner(), "holder");
        EXPECT_EQ(told.silent_daemons_size(), 0);
        EXPECT_FALSE(told.cut());
        EXPECT_THAT(happenings(told), ElementsAre("granted holder@one"));
    }
}

TEST_F(PeersTest, ExplainTellsWhatHappenedAtEveryDaemonNewestFirst) {
    ASSERT_TRUE(first_.acquire(waiting("past", "early")).ok());
    ASSERT_TRUE(second_.release(first_.lease.lease_id()).ok());
    ASSERT_TRUE(second_.acquire(waiting("past", "late")).ok());
    const auto token = second_.lease.fencing_token();
    {
        Stream leaves{first_, waiting("past", "leaves")};
        ASSERT_TRUE(wait_for_waiters("past", 1));
    }
    ASSERT_TRUE(wait_for_waiters("past", 0));
    const auto told = explain(second_, "past");
    EXPECT_THAT(
        happenings(told),
        ElementsAre(
            "cancelled leaves@one", "granted late@two", "released early@two", "granted early@one"));
    EXPECT_EQ(told.transitions(1).fencing_token(), token);
    EXPECT_GE(told.transitions(3).ago_ms(), told.transitions(0).ago_ms());
}

TEST_F(PeersTest, ExplainOfALockThatNobodyEverTookIsEmpty) {
    const auto told = explain(first_, "never");
    EXPECT_EQ(told.lock().name(), "never");
    EXPECT_EQ(told.lock().holders_size(), 0);
    EXPECT_EQ(told.waiters_size() + told.transitions_size(), 0);
}

TEST_F(PeersTest, ADaemonThatDoesNotAnswerIsNamed) {
    two_.process().stop();
    const auto from = Steady::now();
    const auto told = explain(first_, "any");
    EXPECT_THAT(told.silent_daemons(), ElementsAre("two"));
    EXPECT_GE(Steady::now() - from, 190ms);
    EXPECT_THAT(sessions(first_, true).silent_daemons(), ElementsAre("two"));
    two_.process().resume();
    EXPECT_TRUE(eventually([&] { return explain(first_, "any").silent_daemons().empty(); }));
}

TEST_F(PeersTest, ADaemonThatHasEndedIsNotAskedAnyMore) {
    two_.process().signal(SIGTERM);
    ASSERT_EQ(two_.process().wait(20s), 0);
    EXPECT_TRUE(explain(first_, "any").silent_daemons().empty());
    EXPECT_EQ(redis_.run({"EXISTS", std::string{"holdfast:\x01"} + "stations:hf:"}), "1");
}

TEST_F(PeersTest, SessionsOfAllDaemonsAreListed) {
    Stream held{first_, waiting("held", "holder")};
    ASSERT_TRUE(held.next().has_granted());
    const Stream waits{second_, waiting("held", "waiter")};
    ASSERT_TRUE(wait_for_waiters("held", 1));
    grpc::ClientContext context;
    const auto session = second_.stub().Session(&context);
    pb::SessionRequest request;
    auto& acquire = *request.add_operations();
    acquire.set_id(1);
    *acquire.mutable_acquire() = waiting("other", "session");
    auto& waiter = *request.add_operations();
    waiter.set_id(2);
    *waiter.mutable_acquire() = waiting("held", "session");
    ASSERT_TRUE(session->Write(request));
    ASSERT_TRUE(wait_for_waiters("held", 2));

    const auto own = sessions(first_, false);
    ASSERT_EQ(own.sessions_size(), 1);
    EXPECT_EQ(own.sessions(0).daemon(), "one");
    EXPECT_EQ(own.sessions(0).leases(), 1U);
    EXPECT_EQ(own.sessions(0).waiting(), 0U);
    EXPECT_EQ(own.sessions(0).peer().find("ipv4:127.0.0.1:"), 0U);
    // Hold: one lease at one, one waiter at two. Session: one lease and one waiter at two.
    EXPECT_TRUE(eventually([&] {
        const auto all = sessions(first_, true);
        std::map<std::string, int> found;
        for (const auto& one : all.sessions()) {
            ++found[one.daemon() + " " + std::to_string(one.leases()) + " " +
                    std::to_string(one.waiting())];
        }
        return found == std::map<std::string, int>{{"one 1 0", 1}, {"two 0 1", 1}, {"two 1 1", 1}};
    }));
    held.cancel();
    context.TryCancel();
    EXPECT_TRUE(eventually([&] { return sessions(first_, false).sessions_size() == 0; }));
    EXPECT_TRUE(eventually([&] { return sessions(second_, true).sessions_size() == 1; }));
}

TEST_F(PeersTest, DrainByCallEndsTheDaemonAndAnswersBefore) {
    grpc::ClientContext context;
    within(context);
    pb::DrainRequest request;
    pb::DrainResponse response;
    request.set_deadline_ms(5000);
    ASSERT_TRUE(admin(first_)->Drain(&context, request, &response).ok());
    EXPECT_EQ(one_.process().wait(20s), 0);
    EXPECT_NE(one_.log().find("drained"), std::string::npos) << one_.log();
}

// The supervisor stops what is draining already: the drain goes on, and is not cut short.
TEST_F(PeersTest, ASigtermAfterTheDrainEndsItProperlyAndSoon) {
    pb::AcquireRequest request = Client::request("kept", 6s);
    request.set_max_hold_ms(60'000);
    ASSERT_TRUE(first_.acquire(request).ok());
    const auto from = Steady::now();
    EXPECT_EQ(run_program({program("holdfast"), "--server", one_.address(), "drain"}).code, 0);
    one_.process().signal(SIGTERM);
    EXPECT_EQ(one_.process().wait(20s), 0) << one_.log();
    EXPECT_LT(Steady::now() - from, 20s);  // drain.timeout is 30 s
    EXPECT_NE(one_.log().find("drained"), std::string::npos) << one_.log();
    EXPECT_EQ(one_.log().find("found no other daemon"), std::string::npos) << one_.log();
    ASSERT_TRUE(second_.release(first_.lease.lease_id()).ok());
    EXPECT_EQ(second_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
}

TEST_F(PeersTest, DrainForTooLongIsRefused) {
    grpc::ClientContext context;
    within(context);
    pb::DrainRequest request;
    pb::DrainResponse response;
    request.set_deadline_ms(3'600'001);
    const Answer answer = answer_of(admin(first_)->Drain(&context, request, &response));
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(answer.field, "deadline_ms");
    EXPECT_TRUE(one_.serving());
}

// What nobody is connected for goes on at another daemon when its own ends.
TEST_F(PeersTest, DrainLeavesLeasesThatNobodyListensForToAnotherDaemon) {
    constexpr int kLeases = 20;
    std::vector<pb::Lease> leases;
    for (int i = 0; i < kLeases; ++i) {
        pb::AcquireRequest request = Client::request("kept" + std::to_string(i), 6s);
        request.set_max_hold_ms(60'000);
        ASSERT_TRUE(first_.acquire(request).ok());
        leases.push_back(first_.lease);
    }
    one_.process().signal(SIGTERM);
    ASSERT_EQ(one_.process().wait(20s), 0) << one_.log();
    EXPECT_EQ(one_.log().find("found no other daemon"), std::string::npos) << one_.log();
    // Well past the ttl and the store's guard: they are renewed.
    const auto until = Steady::now() + 9s;
    ASSERT_TRUE(eventually([&] { return Steady::now() > until; }));
    for (const pb::Lease& lease : leases) {
        ASSERT_TRUE(second_.get(lease.name()).ok()) << lease.name();
        ASSERT_EQ(second_.lock.holders_size(), 1);
        EXPECT_EQ(second_.lock.holders(0).fencing_token(), lease.fencing_token());
        ASSERT_TRUE(second_.release(lease.lease_id()).ok());
        EXPECT_EQ(second_.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        EXPECT_FALSE(second_.get(lease.name()).ok());
    }
}

TEST_F(PeersTest, ADaemonThatIsAloneDoesNotWaitForOthers) {
    two_.process().signal(SIGTERM);
    ASSERT_EQ(two_.process().wait(20s), 0);
    pb::AcquireRequest request = Client::request("alone", 10s);
    request.set_max_hold_ms(60'000);
    ASSERT_TRUE(first_.acquire(request).ok());
    const auto from = Steady::now();
    one_.process().signal(SIGTERM);
    ASSERT_EQ(one_.process().wait(20s), 0);
    EXPECT_LT(Steady::now() - from, 20s);  // drain.timeout is 30 s
    EXPECT_NE(one_.log().find("found no other daemon"), std::string::npos) << one_.log();
}

TEST_F(PeersTest, DrainLeavesALeaseAloneThatItsClientHasTakenElsewhere) {
    pb::AcquireRequest request = Client::request("raced", 10s);
    request.set_max_hold_ms(60'000);
    ASSERT_TRUE(first_.acquire(request).ok());
    pb::AcquireRequest resume = Client::request("", 10s);
    resume.set_resume_lease_id(first_.lease.lease_id());
    Stream stream{second_, resume};
    ASSERT_TRUE(stream.next().has_granted());
    one_.process().signal(SIGTERM);
    ASSERT_EQ(one_.process().wait(20s), 0);
    EXPECT_TRUE(stream.next().has_renewed());
}

}  // namespace
}  // namespace holdfast::e2e
