// holdfast hold: what it prints, how it ends, what it leaves; and the modes of locks on the command line.

#include "fixture.hpp"
#include "support/tcp_gate.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <sstream>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

// One `holdfast hold` in the background.
class Holder {
public:
    Holder(const std::string& server, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {program("holdfast"), "--server", server});
        process_ = std::make_unique<test::Process>(arguments, directory_.file("log"));
    }

    std::string log() const { return test::read_file(directory_.file("log")); }
    bool says(const std::string& text) const {
        return eventually([&] { return log().find(text) != std::string::npos; }, 20s);
    }
    std::string lease_id() const {
        const std::string text = log();
        const std::string mark = "lease id ";
        const std::size_t begin = text.find(mark) + mark.size();
        return text.substr(begin, text.find('\n', begin) - begin);
    }
    test::Process& process() { return *process_; }

private:
    test::TempDir directory_;
    std::unique_ptr<test::Process> process_;
};

class HoldCli : public testing::Test {
protected:
    static Outcome holdfast(const std::string& server, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {program("holdfast"), "--server", server});
        return run_program(arguments);
    }
    Outcome holdfast(const std::vector<std::string>& arguments) const {
        return holdfast(daemon_->address(), arguments);
    }

    test::RedisProcess redis_;
    std::unique_ptr<Daemon> daemon_ =
        std::make_unique<Daemon>(std::vector<std::string>{"--store", redis_.url()});
    Client other_{daemon_->address()};
};

TEST_F(HoldCli, PrintsWhatHappensAndReleasesWhenInterrupted) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "1s", "--owner", "me"}};
    ASSERT_TRUE(hold.says("renewed, safe for ")) << hold.log();
    EXPECT_THAT(hold.log(), testing::StartsWith("granted: token "));
    EXPECT_EQ(other_.acquire("job").metadata["holder_owner"], "me");
    hold.process().signal(SIGINT);
    EXPECT_EQ(hold.process().wait(10s), 0) << hold.log();
    EXPECT_TRUE(other_.acquire("job").ok()) << "it is free at once";
    EXPECT_THAT(hold.log(), HasSubstr("released: the lock was held throughout\n"));
}

TEST_F(HoldCli, PrintsJsonForProgramsWithTheLeaseIdOnce) {
    ASSERT_TRUE(other_.acquire("job").ok());
    Holder hold{daemon_->address(),
                {"-o", "json", "hold", "job", "--ttl", "1s", "--wait", "20s", "--priority", "3"}};
    ASSERT_TRUE(hold.says("{\"event\":\"queued\",\"position\":1,\"holder_owner\":\"e2e\""));
    other_.release(other_.lease.lease_id());
    ASSERT_TRUE(hold.says("{\"event\":\"renewed\",")) << hold.log();
    hold.process().signal(SIGTERM);
    EXPECT_EQ(hold.process().wait(10s), 0);
    std::istringstream lines{hold.log()};
    int with_lease_id = 0;
    for (std::string line; std::getline(lines, line);) {
        EXPECT_TRUE(line.starts_with("{\"event\":\"") && line.ends_with("}")) << line;
        if (line.find("\"lease_id\":") != std::string::npos) {
            EXPECT_TRUE(line.starts_with("{\"event\":\"granted\"")) << line;
            ++with_lease_id;
        }
    }
    EXPECT_EQ(with_lease_id, 1);
    EXPECT_THAT(hold.log(), HasSubstr("{\"event\":\"released\",\"verdict\":"));
}

TEST_F(HoldCli, SaysWhenTheLockIsNotToBeHad) {
    ASSERT_TRUE(other_.acquire("job").ok());
    const Outcome held = holdfast({"hold", "job"});
    EXPECT_EQ(held.code, 75);
    EXPECT_THAT(held.output, HasSubstr("LOCK_HELD"));
    EXPECT_EQ(holdfast({"hold", "x", "--ttl", "1h"}).code, 2);
    EXPECT_EQ(holdfast({"hold", "x", "--grace", "3s"}).code, 2);
    EXPECT_EQ(holdfast("127.0.0.1:1", {"hold", "x"}).code, 69);
    Holder waiting{daemon_->address(), {"hold", "job", "--wait", "30s"}};
    ASSERT_TRUE(waiting.says("waiting: position 1, held by e2e"));
    waiting.process().signal(SIGINT);
    EXPECT_EQ(waiting.process().wait(10s), 75) << waiting.log();
    EXPECT_TRUE(eventually([&] { return other_.acquire("job").metadata["queue_length"] == "0"; }));
}

TEST_F(HoldCli, EndsWellWhenItIsReleasedElsewhere) {
    Holder hold{daemon_->address(), {"hold", "job"}};
    ASSERT_TRUE(hold.says("lease id "));
    EXPECT_EQ(holdfast({"release", hold.lease_id()}).code, 0);
    EXPECT_EQ(hold.process().wait(10s), 0) << hold.log();
}

TEST_F(HoldCli, SaysThatTheLockIsLost) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "1s"}};
    ASSERT_TRUE(hold.says("lease id "));
    redis_.run({"HSET", "hf:job", "i", "somebody elses!!"});
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_THAT(hold.log(), HasSubstr("lost: it is another's now"));
}

TEST_F(HoldCli, SurvivesARestartOfTheDaemonWithTheSameLease) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "10s"}};
    ASSERT_TRUE(hold.says("lease id "));
    ASSERT_TRUE(other_.get("job").ok());
    const std::uint64_t token = other_.lock.holders(0).fencing_token();
    const std::string address = daemon_->address();
    daemon_->process().kill_and_wait();
    ASSERT_TRUE(hold.says("disconnected, safe for ")) << hold.log();
    test::Process again{
        {program("holdfastd"), "--listen", address, "--admin", "", "--store", redis_.url()}};
    ASSERT_TRUE(hold.says("resumed, safe for ")) << hold.log();
    Client there{address};
    ASSERT_TRUE(eventually([&] { return there.get("job").ok(); }));
    EXPECT_EQ(there.lock.holders(0).fencing_token(), token);
    hold.process().signal(SIGTERM);
    EXPECT_EQ(hold.process().wait(10s), 0) << hold.log();
}

TEST_F(HoldCli, IsLostWhenNoDaemonComesBackInTime) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "1s"}};
    ASSERT_TRUE(hold.says("lease id "));
    daemon_->process().kill_and_wait();
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_THAT(hold.log(), HasSubstr("lost: it could not be renewed in time\n"));
}

TEST_F(HoldCli, OnDisconnectReleaseFreesTheLockWithTheProgram) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "30s", "--on-disconnect", "release"}};
    ASSERT_TRUE(hold.says("lease id "));
    hold.process().kill_and_wait();
    EXPECT_TRUE(other_.acquire("job", 10s, 10s).ok());
}

TEST_F(HoldCli, OnDisconnectReleaseIsLostWithTheConnection) {
    test::TcpGate gate{daemon_->port()};
    Holder hold{"127.0.0.1:" + std::to_string(gate.port()),
                {"hold", "job", "--ttl", "30s", "--on-disconnect", "release"}};
    ASSERT_TRUE(hold.says("lease id "));
    gate.cut();
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_TRUE(other_.acquire("job", 10s, 10s).ok());
}

TEST_F(HoldCli, OnDisconnectReleaseIsTakenAlongWhenTheDaemonDrains) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "10s", "--on-disconnect", "release"}};
    ASSERT_TRUE(hold.says("lease id "));
    const std::string address = daemon_->address();
    daemon_->process().signal(SIGTERM);
    ASSERT_TRUE(daemon_->process().wait(10s));
    EXPECT_THAT(hold.log(), HasSubstr("moving"));
    const test::Process again{
        {program("holdfastd"), "--listen", address, "--admin", "", "--store", redis_.url()}};
    EXPECT_TRUE(hold.says("resumed, safe for ")) << hold.log();
    hold.process().signal(SIGTERM);
    EXPECT_EQ(hold.process().wait(10s), 0) << hold.log();
}

TEST_F(HoldCli, OnDisconnectGraceKeepsItRenewed) {
    Holder hold{daemon_->address(),
                {"hold", "job", "--ttl", "1s", "--on-disconnect", "grace", "--grace", "4s"}};
    ASSERT_TRUE(hold.says("lease id "));
    hold.process().kill_and_wait();
    EXPECT_EQ(other_.acquire("job", 1s, 2s).reason, "LOCK_HELD") << "it has ended with its ttl";
    EXPECT_TRUE(other_.acquire("job", 1s, 20s).ok());
}

TEST_F(HoldCli, RidesOutAConnectionThatIsCut) {
    test::TcpGate gate{daemon_->port()};
    Holder hold{"127.0.0.1:" + std::to_string(gate.port()), {"hold", "job", "--ttl", "5s"}};
    ASSERT_TRUE(hold.says("lease id "));
    gate.cut();
    ASSERT_TRUE(hold.says("resumed, safe for ")) << hold.log();
    hold.process().signal(SIGINT);
    EXPECT_EQ(hold.process().wait(10s), 0) << hold.log();
    EXPECT_TRUE(other_.acquire("job").ok());
}

TEST(HoldCliStore, SaysThatTheLockIsAtRiskAndThenLost) {
    test::RedisProcess redis;
    test::TcpGate gate{redis.port()};
    Daemon daemon{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())}};
    Holder hold{daemon.address(), {"hold", "job", "--ttl", "3s"}};
    ASSERT_TRUE(hold.says("renewed"));
    gate.hold_requests(true);
    ASSERT_TRUE(hold.says("at risk, safe for ")) << hold.log();
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_THAT(hold.log(), HasSubstr("lost: "));
}

TEST_F(HoldCli, SharedHoldersAreTogetherAndPermitsAreCounted) {
    Holder first{daemon_->address(), {"hold", "book", "--shared", "--wait", "10s"}};
    Holder second{daemon_->address(), {"hold", "book", "--shared", "--wait", "10s"}};
    ASSERT_TRUE(first.says("lease id ")) << first.log();
    ASSERT_TRUE(second.says("lease id ")) << second.log();
    EXPECT_EQ(holdfast({"acquire", "book"}).code, 75);
    EXPECT_THAT(holdfast({"show", "book"}).output, HasSubstr("mode:     shared\n"));

    Holder pool{daemon_->address(), {"hold", "pool", "--permit", "2/2"}};
    ASSERT_TRUE(pool.says("lease id "));
    EXPECT_EQ(holdfast({"acquire", "pool", "--permit", "1/2"}).code, 75);
    EXPECT_THAT(holdfast({"ls", "pool"}).output, HasSubstr("permit 2/2"));
    EXPECT_THAT(holdfast({"show", "pool"}).output, HasSubstr("permit, 2 of 2 in use"));
    const Outcome wrong = holdfast({"acquire", "pool", "--permit", "2"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_THAT(wrong.output, HasSubstr("is not K/N"));
}

TEST_F(HoldCli, IsToldWhenSomebodyWantsTheLock) {
    Holder watch{daemon_->address(), {"watch", "job"}};
    ASSERT_TRUE(watch.says("watching\n")) << watch.log();
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "1s", "--owner", "me"}};
    ASSERT_TRUE(hold.says("lease id "));
    ASSERT_TRUE(watch.says("changed  job: exclusive, held by me (token ")) << watch.log();
    const Outcome asked =
        holdfast({"revoke", "job", "--deadline", "500ms", "--reason", "maintenance"});
    EXPECT_EQ(asked.code, 0) << asked.output;
    EXPECT_THAT(asked.output, HasSubstr("asked: me (token "));
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_THAT(hold.log(), HasSubstr("revoke requested: give it up within "));
    EXPECT_THAT(hold.log(), HasSubstr("lost: it was revoked"));
    EXPECT_TRUE(other_.acquire("job", 1s, 10s).ok());
}

TEST_F(HoldCli, IsToldWhenTheLockIsTakenAway) {
    Holder hold{daemon_->address(), {"hold", "job", "--ttl", "5s", "--owner", "me"}};
    ASSERT_TRUE(hold.says("lease id "));
    const Outcome taken = holdfast({"force-release", "job"});
    EXPECT_EQ(taken.code, 0) << taken.output;
    EXPECT_THAT(taken.output, HasSubstr("taken from: me (token "));
    EXPECT_EQ(hold.process().wait(10s), 76) << hold.log();
    EXPECT_THAT(hold.log(), HasSubstr("lost: it was revoked"));
}

TEST(Completion, BashCompletesVerbsOptionsAndValues) {
    const auto completed = [](const std::string& words, int at) {
        return run_program({"bash",
                            "-c",
                            "source <(\"$HOLDFAST\" completion bash); COMP_WORDS=(holdfast " +
                                words + "); COMP_CWORD=" + std::to_string(at) +
                                "; _holdfast; echo \"${COMPREPLY[*]}\""},
                           {{"HOLDFAST", program("holdfast")}})
            .output;
    };
    EXPECT_EQ(completed("force", 1), "force-release\n");
    EXPECT_EQ(completed("hold --on", 2), "--on-disconnect\n");
    EXPECT_EQ(completed("--server here hold --on", 4), "--on-disconnect\n");
    EXPECT_EQ(completed("hold --on-disconnect r", 3), "release\n");
    EXPECT_EQ(completed("show x -o ''", 4), "text json\n");
    EXPECT_EQ(completed("hold --ttl ''", 3), "\n");
    EXPECT_THAT(completed("--''", 1), Not(HasSubstr("--ttl")));
}

}  // namespace
}  // namespace holdfast::e2e
