#include "cli/completion.hpp"
#include "cli/failure.hpp"
#include "cli/json.hpp"
#include "cli/new_request.hpp"
#include "cli/text.hpp"
#include "google/rpc/error_details.pb.h"

#include <gmock/gmock.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

TEST(Text, Durations) {
    EXPECT_EQ(parse_duration("1m30s"), 90'000ms);
    EXPECT_EQ(parse_duration("0"), 0ms);
    for (const char* bad : {"", "10", "s", "1x", "-1s", "1.5s", "9999999999s"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
    EXPECT_EQ(show_duration(40ms), "40ms");
    EXPECT_EQ(show_duration(2500ms), "2.5s");
    EXPECT_EQ(show_duration(30s), "30s");
    EXPECT_EQ(show_duration(90s), "1m30s");
    EXPECT_EQ(show_duration(26h), "26h0m");
    EXPECT_EQ(show_duration(76h), "3d4h");
}

TEST(Text, NothingSteersTheTerminal) {
    EXPECT_EQ(show_text("a\x1b[2Jb\n\\"), "a\\x1b[2Jb\\x0a\\x5c");
    EXPECT_EQ(show_text("ü€😀"), "ü€😀");
    EXPECT_EQ(show_text("\xc2\x9b"), "\\xc2\\x9b") << "CSI as one character";
    EXPECT_EQ(show_text("\x9b\xff\xc3"), "\\x9b\\xff\\xc3") << "not UTF-8";
    EXPECT_EQ(json_line("ü\x1b\x7f\xc2\x9b"), "\"ü\\u001b\\u007f\\u009b\"\n");
}

TEST(Text, TablesAndHex) {
    EXPECT_EQ(show_table({{"NAME", "X"}, {"a", "1"}}), "NAME  X\na     1\n");
    EXPECT_EQ(parse_hex("00ff"), std::string("\0\xff", 2));
    EXPECT_FALSE(parse_hex("0"));
    EXPECT_FALSE(parse_hex("zz"));
}

TEST(Request, PermitsAreKOfN) {
    const auto permit = parse_permit("2/5");
    ASSERT_TRUE(permit);
    EXPECT_EQ(permit->permits, 2U);
    EXPECT_EQ(permit->limit, 5U);
    for (const char* bad : {"", "2", "/5", "2/", "0/5", "6/5", "2/5x", "-1/5", "2/99999999999"}) {
        EXPECT_FALSE(parse_permit(bad)) << bad;
    }
}

TEST(Request, HasWhatTheOptionsSay) {
    RequestOptions options;
    options.permit = "2/5";
    options.priority = -3;
    options.lock_delay = "4s";
    const v1::AcquireRequest one = new_request("job", options);
    EXPECT_EQ(one.name(), "job");
    EXPECT_EQ(one.mode(), v1::MODE_PERMIT);
    EXPECT_EQ(one.permits(), 2U);
    EXPECT_EQ(one.limit(), 5U);
    EXPECT_EQ(one.priority(), -3);
    EXPECT_EQ(one.lock_delay_ms(), 4000U);
    EXPECT_EQ(one.request_id().size(), 32U);
    options.permit.clear();
    options.shared = true;
    const v1::AcquireAllRequest all = new_request(std::vector<std::string>{"b", "a"}, options);
    EXPECT_EQ(all.names(0), "b") << "in the order of the command line";
    EXPECT_EQ(all.mode(), v1::MODE_SHARED);
    EXPECT_EQ(all.priority(), -3);
    EXPECT_EQ(all.lock_delay_ms(), 4000U);
}

TEST(Completion, IsMadeOfTheOptionsThatThereAre) {
    CLI::App app{"a program", "holdfast"};
    std::string value;
    app.add_option("-o,--output", value, "text or json")->check(CLI::IsMember({"text", "json"}));
    app.add_subcommand("show", "somebody's lock: it's shown")
        ->add_option("--ttl", value, "how [long]: 10s");
    const auto words = words_of(app);
    ASSERT_EQ(words.size(), 2U);
    EXPECT_EQ(words[1].name, "show");
    const std::string fish = fish_completion(words);
    EXPECT_THAT(fish, testing::HasSubstr("complete -c holdfast -s o -x -a 'text json' -d "));
    EXPECT_THAT(fish, testing::HasSubstr("'somebody'\\''s lock: it'\\''s shown'"));
    EXPECT_THAT(fish,
                testing::HasSubstr("complete -c holdfast -n '__fish_seen_subcommand_from show' "
                                   "-l ttl -x -d 'how [long]: 10s'"));
    const std::string zsh = zsh_completion(words);
    EXPECT_THAT(zsh, testing::HasSubstr("'--output[text or json]:value:(text json)'"));
    EXPECT_THAT(zsh, testing::HasSubstr("'--ttl[how \\[long\\]\\: 10s]:value:'"));
}

grpc::Status status_with(const std::string& reason, grpc::StatusCode code) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    (*info.mutable_metadata())["holder_owner"] = "him";
    google::rpc::Status details;
    details.add_details()->PackFrom(info);
    return {code, "the message", details.SerializeAsString()};
}

TEST(Failure, ReasonsBecomeExitCodes) {
    const auto code = [](const std::string& reason, grpc::StatusCode status) {
        return failure_of(status_with(reason, status), "here").code;
    };
    EXPECT_EQ(code("LOCK_HELD", grpc::StatusCode::ABORTED), ExitCode::not_obtained);
    EXPECT_EQ(code("LEASE_LOST", grpc::StatusCode::FAILED_PRECONDITION), ExitCode::lost);
    EXPECT_EQ(code("NOT_FOUND", grpc::StatusCode::NOT_FOUND), ExitCode::not_found);
    EXPECT_EQ(code("OUTCOME_UNKNOWN", grpc::StatusCode::UNAVAILABLE), ExitCode::unavailable);
    EXPECT_EQ(code("INVALID_ARGUMENT", grpc::StatusCode::INVALID_ARGUMENT), ExitCode::usage);
    EXPECT_EQ(code("UNIMPLEMENTED", grpc::StatusCode::UNIMPLEMENTED), ExitCode::failed);
}

TEST(Failure, IsShownForPeopleAndPrograms) {
    const Failure failure = failure_of(status_with("LOCK_HELD", grpc::StatusCode::ABORTED), "here");
    EXPECT_EQ(show(failure), "holdfast: the message (LOCK_HELD)\n");
    EXPECT_EQ(to_json(failure),
              "{\"error\":{\"reason\":\"LOCK_HELD\",\"message\":\"the message\",\"metadata\":"
              "{\"holder_owner\":\"him\"}}}\n");
    const Failure unreachable =
        failure_of({grpc::StatusCode::UNAVAILABLE, "refused"}, "127.0.0.1:1");
    EXPECT_EQ(unreachable.code, ExitCode::unavailable);
    EXPECT_NE(unreachable.message.find("127.0.0.1:1"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::cli
