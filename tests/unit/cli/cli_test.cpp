#include "cli/failure.hpp"
#include "cli/text.hpp"
#include "google/rpc/error_details.pb.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(show_text("ü"), "ü");
}

TEST(Text, TablesAndHex) {
    EXPECT_EQ(show_table({{"NAME", "X"}, {"a", "1"}}), "NAME  X\na     1\n");
    EXPECT_EQ(parse_hex("00ff"), std::string("\0\xff", 2));
    EXPECT_FALSE(parse_hex("0"));
    EXPECT_FALSE(parse_hex("zz"));
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
