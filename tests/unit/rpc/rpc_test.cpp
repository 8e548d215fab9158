#include "google/rpc/error_details.pb.h"
#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <gtest/gtest.h>

namespace holdfast::rpc {
namespace {

using core::Reason;
using namespace std::chrono_literals;

TEST(Status, EveryReasonHasItsStatusAndName) {
    struct Row {
        Reason reason;
        const char* name;
        grpc::StatusCode code;
    };
    const Row rows[] = {
        {Reason::invalid_argument, "INVALID_ARGUMENT", grpc::StatusCode::INVALID_ARGUMENT},
        {Reason::unimplemented, "UNIMPLEMENTED", grpc::StatusCode::UNIMPLEMENTED},
        {Reason::lock_held, "LOCK_HELD", grpc::StatusCode::ABORTED},
        {Reason::lease_lost, "LEASE_LOST", grpc::StatusCode::FAILED_PRECONDITION},
        {Reason::not_found, "NOT_FOUND", grpc::StatusCode::NOT_FOUND},
        {Reason::mode_conflict, "MODE_CONFLICT", grpc::StatusCode::FAILED_PRECONDITION},
        {Reason::store_unavailable, "STORE_UNAVAILABLE", grpc::StatusCode::UNAVAILABLE},
        {Reason::outcome_unknown, "OUTCOME_UNKNOWN", grpc::StatusCode::UNAVAILABLE},
        {Reason::queue_full, "QUEUE_FULL", grpc::StatusCode::RESOURCE_EXHAUSTED},
        {Reason::draining, "DRAINING", grpc::StatusCode::UNAVAILABLE},
        {Reason::cancelled, "CANCELLED", grpc::StatusCode::CANCELLED},
    };
    for (const Row& row : rows) {
        const grpc::Status status = to_status({row.reason, "why", "", {{"key", "value"}}});
        EXPECT_EQ(status.error_code(), row.code) << row.name;
        google::rpc::Status details;
        ASSERT_TRUE(details.ParseFromString(status.error_details()));
        EXPECT_EQ(details.code(), row.code);
        google::rpc::ErrorInfo info;
        ASSERT_TRUE(details.details(0).UnpackTo(&info));
        EXPECT_EQ(info.reason(), row.name);
        EXPECT_EQ(info.domain(), "holdfast");
        EXPECT_EQ(info.metadata().at("key"), "value");
    }
}

TEST(Status, BadFieldsAndRetriesAreInTheDetails) {
    google::rpc::Status details;
    details.ParseFromString(to_status(core::invalid("ttl_ms", "too long").value()).error_details());
    google::rpc::BadRequest bad;
    ASSERT_TRUE(details.details(1).UnpackTo(&bad));
    EXPECT_EQ(bad.field_violations(0).field(), "ttl_ms");
    EXPECT_EQ(bad.field_violations(0).description(), "too long");

    core::Error full{Reason::queue_full, "full"};
    full.retry_after = 1500ms;
    details.ParseFromString(to_status(full).error_details());
    google::rpc::RetryInfo retry;
    ASSERT_TRUE(details.details(1).UnpackTo(&retry));
    EXPECT_EQ(retry.retry_delay().seconds(), 1);
    EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(Translate, ALeaseThatIsOverIsNotGivenOut) {
    const core::Instant sent{10s};
    const core::Grant grant{{*core::LockName::parse("a"), {}, {7}}, {}, {1000ms}, sent};
    pb::Lease lease;
    ASSERT_TRUE(fill(lease, grant, sent - 20ms, sent + core::Duration{300'900'000}));
    EXPECT_EQ(lease.elapsed_ms(), 320U);   // rounded down, both:
    EXPECT_EQ(lease.safe_for_ms(), 699U);  // the sum never says more than the truth
    EXPECT_EQ(lease.next_renew_in_ms(), 32U);
    EXPECT_EQ(lease.ttl_ms(), 1000U);
    EXPECT_FALSE(fill(lease, grant, sent, sent + 1000ms));
    EXPECT_FALSE(fill(lease, grant, sent, sent + 5s));
}

TEST(Translate, ListRequests) {
    pb::ListLocksRequest request;
    EXPECT_EQ(parse(request)->limit, 100U);
    request.set_page_size(501);
    EXPECT_EQ(parse(request).error().field, "page_size");
    request.set_page_size(1);
    request.set_page_token("12x");
    EXPECT_EQ(parse(request).error().field, "page_token");
    request.set_page_token("12");
    EXPECT_EQ(parse(request)->from, "12");
    request.set_prefix("a\n");
    EXPECT_EQ(parse(request).error().field, "prefix");
}

}  // namespace
}  // namespace holdfast::rpc
