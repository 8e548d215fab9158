// The example clients of tests/clients: each takes, renews and releases a lock and prints its token.

#include "fixture.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

namespace holdfast::e2e {
namespace {

class Clients : public testing::Test {
protected:
    static std::string example(const std::string& file) {
        return test::source_file("tests/clients/" + file);
    }

    void expect_to_work(std::vector<std::string> command,
                        const std::map<std::string, std::string>& environment = {}) {
        command.insert(command.end(), {daemon_.address(), "example"});
        const Outcome first = run_program(command, environment);
        ASSERT_EQ(first.code, 0) << first.output;
        EXPECT_THAT(first.output,
                    testing::MatchesRegex("token [0-9]+\nmine for (9|10) s more\n"
                                          "released: VERDICT_HELD_THROUGHOUT\n"));
        // The next holder's token is greater, whatever language it speaks.
        ASSERT_TRUE(other_.acquire("example").ok());
        EXPECT_GT(other_.lease.fencing_token(), std::stoull(first.output.substr(6)));
        ASSERT_TRUE(other_.release(other_.lease.lease_id()).ok());
        // Nobody there: an error, not a stack trace nor a hang.
        command[command.size() - 2] = "127.0.0.1:1";
        const Outcome nobody = run_program(command, environment);
        EXPECT_EQ(nobody.code, 1) << nobody.output;
        EXPECT_THAT(nobody.output, testing::Not(testing::HasSubstr("Traceback")));
    }

    Daemon daemon_{{}};
    Client other_{daemon_.address()};
};

TEST_F(Clients, Cpp) {
    expect_to_work({program("client_cpp")});
}

TEST_F(Clients, Python) {
    expect_to_work({"/usr/bin/python3", example("python/take_lock.py")},
                   {{"PYTHONPATH", program("generated/python")}});
}

// ./dev test has npm fetch the packages.
TEST_F(Clients, Node) {
    ASSERT_NE(std::getenv("NODE_PATH"), nullptr)
        << "run ./dev test, or set it to where the packages of node/package.json are";
    expect_to_work({"node", example("node/take_lock.js")});
}

}  // namespace
}  // namespace holdfast::e2e
