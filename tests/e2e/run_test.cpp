// holdfast run: a command never outlives the lock it runs under.

#include "fixture.hpp"
#include "support/tcp_gate.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace holdfast::e2e {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Two daemons on one Redis: one that `holdfast run` uses, through a gate, and one that tells what
// others see.
class Run : public testing::Test {
protected:
    Run()
        : near_(std::make_unique<Daemon>(std::vector<std::string>{"--store", redis_.url()})),
          far_({"--store", redis_.url()}),
          gate_(near_->port()),
          other_(far_.address()) {}

    std::vector<std::string> arguments(const std::string& script,
                                       std::vector<std::string> options = {}) const {
        std::vector<std::string> all{program("holdfast"),
                                     "--server",
                                     "127.0.0.1:" + std::to_string(gate_.port()),
                                     "run",
                                     "job"};
        all.insert(all.end(), options.begin(), options.end());
        for (const char* part : {"--", "sh", "-c"}) {
            all.emplace_back(part);
        }
        all.push_back(script);
        return all;
    }

    // Starts it and waits until the command runs. `script` is to be what the command does then.
    void start(const std::string& script, const std::string& ttl = "3s") {
        run_ = std::make_unique<test::Process>(
            arguments("echo $$ >" + pid_file() + "; " + script, {"--ttl", ttl}), log_file());
        ASSERT_TRUE(eventually([&] { return test::read_file(pid_file()).ends_with("\n"); }))
            << log();
        group_ = std::stoi(test::read_file(pid_file()));
    }

    bool group_alive() const { return kill(-group_, 0) == 0; }

    // When another gets the lock, nothing of the command is left.
    void expect_dead_before_the_next_grant(std::chrono::milliseconds most = 10s) {
        ASSERT_TRUE(other_.acquire("job", 10s, most).ok());
        EXPECT_FALSE(group_alive());
    }

    // The guard's pid: the only child.
    pid_t guard() const {
        const std::string pid = std::to_string(run_->pid());
        return std::stoi(test::read_file("/proc/" + pid + "/task/" + pid + "/children"));
    }

    std::string pid_file() const { return directory_.file("pid"); }
    std::string log_file() const { return directory_.file("log"); }
    std::string log() const { return test::read_file(log_file()); }

    // Does not end by itself, nor by SIGTERM, and has a child that does not either.
    static constexpr char kStubborn[] = "trap '' TERM; sleep 60 & while :; do sleep 0.05; done";

    test::TempDir directory_;
    test::RedisProcess redis_;
    std::unique_ptr<Daemon> near_;
    Daemon far_;
    test::TcpGate gate_;
    Client other_;
    std::unique_ptr<test::Process> run_;
    pid_t group_ = -1;
};

TEST_F(Run, GivesTheCommandItsTokenAndReturnsItsCode) {
    const Outcome done = run_program(arguments("echo $HOLDFAST_LOCK $HOLDFAST_TOKEN; exit 42"));
    EXPECT_EQ(done.code, 42);
    EXPECT_THAT(done.output, StartsWith("job "));
    EXPECT_GT(std::stoull(done.output.substr(4)), 0U);
    EXPECT_EQ(run_program(arguments("kill -TERM $$")).code, 128 + SIGTERM);
    ASSERT_TRUE(other_.acquire("job").ok()) << "it was not released";
}

TEST_F(Run, TellsTheCommandAllItsLocks) {
    const Outcome done =
        run_program(arguments("echo \"$HOLDFAST_LOCKS/$HOLDFAST_TOKENS/$HOLDFAST_TOKEN/\""));
    EXPECT_EQ(done.code, 0);
    ASSERT_TRUE(other_.acquire("job").ok());
    EXPECT_THAT(done.output, StartsWith("job/"));
    const std::string token = done.output.substr(4, done.output.find('/', 4) - 4);
    EXPECT_EQ(done.output, "job/" + token + "/" + token + "/\n");
    EXPECT_LT(std::stoull(token), other_.lease.fencing_token());
}

TEST_F(Run, ItsOptionsAreTheLocks) {
    ASSERT_TRUE(other_.acquire("job").ok());
    const Outcome both = run_program(arguments("true", {"--shared", "--permit", "1/2"}));
    EXPECT_EQ(both.code, 2);
    EXPECT_EQ(run_program(arguments("true", {"--permit", "1"})).code, 2);
    EXPECT_EQ(run_program(arguments("true", {"--permit", "3/2"})).code, 2);
    EXPECT_EQ(run_program(arguments("true", {"more", "--permit", "1/2"})).code, 2);
    EXPECT_EQ(run_program(arguments("true", {"--shared"})).code, 75);
}

TEST_F(Run, HoldsTheLockForAsLongAsTheCommandRuns) {
    const auto begun = Steady::now();
    start("sleep 6; exit 7", "4s");
    EXPECT_EQ(other_.acquire("job").reason, "LOCK_HELD");
    ASSERT_TRUE(other_.acquire("job", 10s, 20s).ok());
    EXPECT_GE(Steady::now() - begun, 6s);
    EXPECT_EQ(run_->wait(5s), 7) << log();
}

TEST_F(Run, SaysWhenTheLockOrTheCommandIsNotToBeHad) {
    std::vector<std::string> missing = arguments("");
    missing.resize(5);
    missing.insert(missing.end(), {"--", "/nonexistent/command"});
    EXPECT_EQ(run_program(missing).code, 127);
    missing.back() = "/dev/null";
    EXPECT_EQ(run_program(missing).code, 126);
    missing.resize(5);
    EXPECT_EQ(run_program(missing).code, 2);
    EXPECT_EQ(run_program(arguments("exit 0", {"--ttl", "1h"})).code, 2);
    ASSERT_TRUE(other_.acquire("job").ok()) << "a lock stayed behind";
    const Outcome held = run_program(arguments("echo ran"));
    EXPECT_EQ(held.code, 75);
    EXPECT_EQ(held.output.find("ran"), std::string::npos);
    gate_.refuse(true);
    EXPECT_EQ(run_program(arguments("echo ran")).code, 75);
}

TEST_F(Run, TheCommandIsDeadInTimeWhenTheDaemonIsKilled) {
    start(kStubborn);
    near_->process().kill_and_wait();
    expect_dead_before_the_next_grant();
    EXPECT_EQ(run_->wait(10s), 76);
    EXPECT_THAT(log(), HasSubstr("the lock was lost"));
}

TEST_F(Run, TheCommandIsDeadInTimeWhenNoReplyComesThrough) {
    start(kStubborn);
    gate_.hold_replies(true);
    expect_dead_before_the_next_grant();
    EXPECT_EQ(run_->wait(10s), 76);
}

TEST_F(Run, TheCommandIsDeadInTimeWhenWeAreStopped) {
    start(kStubborn);
    run_->stop();
    // The daemon renews until it notices that nobody answers: keepalive, 10 s.
    expect_dead_before_the_next_grant(30s);
    run_->resume();
    EXPECT_EQ(run_->wait(10s), 76);
}

TEST_F(Run, TheCommandIsDeadInTimeWhenWeAreKilled) {
    start(kStubborn);
    EXPECT_EQ(test::read_file("/proc/" + std::to_string(guard()) + "/comm"), "hf-guard\n")
        << "who kills us by name must not reach the guard";
    run_->kill_and_wait();
    expect_dead_before_the_next_grant();
}

TEST_F(Run, TheCommandDiesWithItsGuard) {
    start(kStubborn, "20s");
    kill(guard(), SIGKILL);
    EXPECT_EQ(run_->wait(10s), 76);
    // Nobody saw the processes die: the lock is left to its ttl.
    EXPECT_EQ(other_.acquire("job").reason, "LOCK_HELD");
    EXPECT_TRUE(eventually([&] { return !group_alive(); }));
}

TEST_F(Run, TheCommandMayCleanUpWhenTheLockIsLost) {
    start("trap 'echo cleaned up; exit 3' TERM; while :; do sleep 0.05; done", "10s");
    const Outcome taken =
        run_program({program("holdfast"), "--server", far_.address(), "force-release", "job"});
    EXPECT_EQ(taken.code, 0) << taken.output;
    EXPECT_EQ(run_->wait(10s), 76);
    EXPECT_THAT(log(), HasSubstr("cleaned up"));
    EXPECT_THAT(log(), HasSubstr("it was revoked"));
}

// Long before its deadline, and before the guard's usual patience is over.
TEST_F(Run, TheCommandIsKilledAtOnceWhenTheLockMayBeAnothers) {
    start("trap 'echo asked' TERM; while :; do sleep 0.05; done", "12s");
    redis_.run({"HSET", "hf:job", "i", "somebody elses!!"});
    ASSERT_TRUE(eventually([&] { return log().find("asked") != std::string::npos; }));
    EXPECT_EQ(run_->wait(4500ms), 76) << log();
    EXPECT_FALSE(group_alive());
    EXPECT_THAT(log(), HasSubstr("another's now"));
}

TEST_F(Run, TheCommandIsKilledAtOnceWhenItsLockIsForcedFreeAtOnce) {
    start(kStubborn, "20s");
    const auto forced = run_program(
        {program("holdfast"), "--server", far_.address(), "force-release", "job", "--immediate"});
    EXPECT_EQ(forced.code, 0) << forced.output;
    EXPECT_EQ(run_->wait(4500ms), 76) << log();  // the guard's usual patience is 5 s
    EXPECT_FALSE(group_alive());
}

TEST_F(Run, ARestartOfTheDaemonDoesNoHarm) {
    start("sleep 10; exit 7", "8s");
    const std::string address = near_->address();
    near_->process().kill_and_wait();
    const test::Process again{
        {program("holdfastd"), "--listen", address, "--admin", "", "--store", redis_.url()}};
    EXPECT_EQ(run_->wait(30s), 7) << log();
}

TEST_F(Run, ADaemonThatDrainsTakesNothingWithIt) {
    start("sleep 10; exit 7", "8s");
    ASSERT_TRUE(other_.get("job").ok());
    const std::uint64_t token = other_.lock.holders(0).fencing_token();
    const std::string address = near_->address();
    near_->process().signal(SIGTERM);
    ASSERT_TRUE(near_->process().wait(10s));
    const test::Process again{
        {program("holdfastd"), "--listen", address, "--admin", "", "--store", redis_.url()}};
    ASSERT_TRUE(eventually([&] { return log().find("disconnected") != std::string::npos; }));
    EXPECT_EQ(run_->wait(30s), 7) << log();
    ASSERT_TRUE(other_.acquire("job").ok());
    EXPECT_GT(other_.lease.fencing_token(), token);
}

// Beyond several ttls, renewed by another daemon than the one that granted it.
TEST_F(Run, AfterARestartTheLeaseIsTheSameAndItsLossIsPushed) {
    start("while :; do sleep 0.05; done", "6s");
    ASSERT_TRUE(other_.get("job").ok());
    const std::uint64_t token = other_.lock.holders(0).fencing_token();
    const std::string address = near_->address();
    near_->process().kill_and_wait();
    const test::Process again{
        {program("holdfastd"), "--listen", address, "--admin", "", "--store", redis_.url()}};
    EXPECT_EQ(other_.acquire("job", 1s, 12s).reason, "LOCK_HELD") << log();
    ASSERT_TRUE(other_.get("job").ok()) << log();
    EXPECT_EQ(other_.lock.holders(0).fencing_token(), token);
    EXPECT_TRUE(group_alive());
    redis_.run({"HSET", "hf:job", "i", "somebody elses!!"});
    EXPECT_EQ(run_->wait(4500ms), 76) << log();
    EXPECT_THAT(log(), HasSubstr("another's now"));
}

TEST_F(Run, SignalsGoToTheCommand) {
    start("trap 'exit 9' INT; while :; do sleep 0.05; done");
    run_->signal(SIGINT);
    EXPECT_EQ(run_->wait(10s), 9) << log();
    EXPECT_TRUE(other_.acquire("job").ok());
}

TEST_F(Run, NothingOfTheCommandStaysBehind) {
    start("sleep 60 & exit 5");
    EXPECT_EQ(run_->wait(10s), 5) << log();
    EXPECT_FALSE(group_alive());
    EXPECT_TRUE(other_.acquire("job").ok());
}

// script(1) gives it a terminal and types what comes on its standard input.
TEST_F(Run, TheCommandHasTheTerminal) {
    const std::string command = program("holdfast") +
                                " --server 127.0.0.1:" + std::to_string(gate_.port()) +
                                " run job -- sh -c 'read word; echo got $word; exit 4'";
    const Outcome done = run_program(
        {"sh", "-c", "echo hello | script -qec \"$COMMAND\" /dev/null"}, {{"COMMAND", command}});
    EXPECT_EQ(done.code, 4);
    EXPECT_THAT(done.output, HasSubstr("got hello"));
}

TEST_F(Run, ASignalWhileItWaitsForTheLockLeavesNothing) {
    ASSERT_TRUE(other_.acquire("job").ok());
    test::Process waiting{arguments("true", {"--wait", "30s"})};
    Client near{near_->address()};
    ASSERT_TRUE(eventually([&] { return near.acquire("job").metadata["queue_length"] == "1"; }));
    waiting.signal(SIGTERM);
    EXPECT_EQ(waiting.wait(5s), 128 + SIGTERM);
    EXPECT_TRUE(eventually([&] { return near.acquire("job").metadata["queue_length"] == "0"; }));
}

}  // namespace
}  // namespace holdfast::e2e
