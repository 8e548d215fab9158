// The holdfast program, as people and scripts use it.

#include "fixture.hpp"

#include <sstream>

namespace holdfast::e2e {
namespace {

class Cli : public testing::Test {
protected:
    static void SetUpTestSuite() { daemon_ = new Daemon{{}}; }
    static void TearDownTestSuite() {
        delete daemon_;
        daemon_ = nullptr;
    }

    static Outcome holdfast(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), program("holdfast"));
        return run_program(arguments, {{"HOLDFAST_SERVER", daemon_->address()}});
    }
    static std::string first_line(const std::string& text) {
        return text.substr(0, text.find('\n'));
    }

    static Daemon* daemon_;
};
Daemon* Cli::daemon_ = nullptr;

TEST_F(Cli, TakesShowsRenewsReleases) {
    const Outcome taken = holdfast({"acquire", "job", "--ttl", "20s", "--owner", "me", "-q"});
    ASSERT_EQ(taken.code, 0) << taken.output;
    const std::string lease_id = first_line(taken.output);
    EXPECT_NE(holdfast({"show", "job"}).output.find("owner:    me"), std::string::npos);
    EXPECT_NE(holdfast({"ls", "jo"}).output.find("job"), std::string::npos);
    EXPECT_EQ(holdfast({"ls", "other"}).output.find("job"), std::string::npos);
    EXPECT_EQ(holdfast({"renew", lease_id, "--ttl", "30s"}).code, 0);
    EXPECT_EQ(holdfast({"acquire", "job"}).code, 75);
    const Outcome released = holdfast({"release", lease_id});
    EXPECT_EQ(released.code, 0);
    EXPECT_NE(released.output.find("held throughout"), std::string::npos);
    EXPECT_EQ(holdfast({"show", "job"}).code, 5);
    EXPECT_EQ(holdfast({"renew", lease_id}).code, 76);
}

TEST_F(Cli, SpeaksJson) {
    const Outcome taken = holdfast({"-o", "json", "acquire", "json"});
    EXPECT_EQ(taken.output.rfind("{\"lease_id\":\"", 0), 0U) << taken.output;
    EXPECT_NE(taken.output.find("\"fencing_token\":1"), std::string::npos);
    EXPECT_NE(holdfast({"-o", "json", "show", "json"}).output.find("\"name\":\"json\""),
              std::string::npos);
    const Outcome held = holdfast({"-o", "json", "acquire", "json"});
    EXPECT_NE(held.output.find("\"reason\":\"LOCK_HELD\""), std::string::npos) << held.output;
}

TEST_F(Cli, TheSameRequestIdGetsTheSameLease) {
    const std::string id = "000102030405060708090a0b0c0d0e0f";
    const Outcome first = holdfast({"acquire", "same", "-q", "--request-id", id});
    const Outcome second = holdfast({"acquire", "same", "-q", "--request-id", id});
    EXPECT_EQ(first.output, second.output);
}

TEST_F(Cli, BenchLeavesNothingBehind) {
    const Outcome own =
        holdfast({"bench", "--clients", "8", "--locks", "20", "--duration", "200ms"});
    EXPECT_EQ(own.code, 0) << own.output;
    EXPECT_NE(own.output.find(" 0 failed"), std::string::npos) << own.output;
    const Outcome hot =
        holdfast({"-o", "json", "bench", "--clients", "8", "--locks", "1", "--duration", "200ms"});
    EXPECT_EQ(hot.code, 0) << hot.output;
    EXPECT_NE(hot.output.find("\"failed\":0"), std::string::npos) << hot.output;
    EXPECT_EQ(holdfast({"ls", "holdfast-bench-"}).output.find("holdfast-bench-"),
              std::string::npos);
}

TEST_F(Cli, TellsOfTheDaemon) {
    const Outcome status = holdfast({"status"});
    EXPECT_EQ(status.code, 0);
    EXPECT_NE(status.output.find("ready:   yes\n"), std::string::npos) << status.output;
    EXPECT_EQ(holdfast({"-o", "json", "status"}).output.rfind("{\"version\":\"", 0), 0U);
}

TEST_F(Cli, TellsWhatIsWrong) {
    EXPECT_EQ(holdfast({}).code, 2);
    EXPECT_EQ(holdfast({"frobnicate"}).code, 2);
    const Outcome bare = holdfast({"acquire", "x", "--ttl", "10"});
    EXPECT_EQ(bare.code, 2);
    EXPECT_NE(bare.output.find("with a unit"), std::string::npos);
    EXPECT_EQ(holdfast({"acquire", "x", "--ttl", "10h"}).code, 2);
    EXPECT_EQ(holdfast({"acquire", "x", "--request-id", "xyz"}).code, 2);
    EXPECT_EQ(holdfast({"release", "nonsense"}).code, 2);
    const Outcome nobody = holdfast({"--server", "127.0.0.1:1", "ls"});
    EXPECT_EQ(nobody.code, 69);
    EXPECT_NE(nobody.output.find("is it running?"), std::string::npos);
    EXPECT_EQ(holdfast({"--server", "127.0.0.1:1", "health"}).code, 69);
    EXPECT_EQ(holdfast({"health"}).code, 0);
    EXPECT_EQ(holdfast({"--help"}).code, 0);
    EXPECT_EQ(holdfast({"--version"}).code, 0);
}

}  // namespace
}  // namespace holdfast::e2e
