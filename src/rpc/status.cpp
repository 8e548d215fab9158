#include "rpc/status.hpp"

#include "google/rpc/error_details.pb.h"

namespace holdfast::rpc {
namespace {

using core::Reason;

constexpr char kDomain[] = "holdfast";

grpc::StatusCode code_of(Reason reason) {
    switch (reason) {
        case Reason::invalid_argument:
            return grpc::StatusCode::INVALID_ARGUMENT;
        case Reason::unimplemented:
            return grpc::StatusCode::UNIMPLEMENTED;
        case Reason::lock_held:
        case Reason::deadlock:
            return grpc::StatusCode::ABORTED;
        case Reason::lease_lost:
        case Reason::mode_conflict:
            return grpc::StatusCode::FAILED_PRECONDITION;
        case Reason::not_found:
            return grpc::StatusCode::NOT_FOUND;
        case Reason::store_unavailable:
        case Reason::outcome_unknown:
        case Reason::draining:
        case Reason::recovering:
        case Reason::not_durable:
            return grpc::StatusCode::UNAVAILABLE;
        case Reason::queue_full:
        case Reason::quota:
            return grpc::StatusCode::RESOURCE_EXHAUSTED;
        case Reason::cancelled:
            return grpc::StatusCode::CANCELLED;
    }
    return grpc::StatusCode::INTERNAL;
}

google::rpc::ErrorInfo info_of(const core::Error& error) {
    google::rpc::ErrorInfo info;
    info.set_reason(std::string{name_of(error.reason)});
    info.set_domain(kDomain);
    for (const auto& [key, value] : error.metadata) {
        (*info.mutable_metadata())[key] = value;
    }
    if (!error.field.empty()) {
        (*info.mutable_metadata())["field"] = error.field;
    }
    return info;
}

google::rpc::RetryInfo retry_of(std::chrono::milliseconds after) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(after.count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(after.count() % 1000) * 1'000'000);
    return retry;
}

}  // namespace

std::string_view name_of(Reason reason) {
    switch (reason) {
        case Reason::invalid_argument:
            return "INVALID_ARGUMENT";
        case Reason::unimplemented:
            return "UNIMPLEMENTED";
        case Reason::lock_held:
            return "LOCK_HELD";
        case Reason::deadlock:
            return "DEADLOCK";
        case Reason::lease_lost:
            return "LEASE_LOST";
        case Reason::not_found:
            return "NOT_FOUND";
        case Reason::mode_conflict:
            return "MODE_CONFLICT";
        case Reason::store_unavailable:
            return "STORE_UNAVAILABLE";
        case Reason::outcome_unknown:
            return "OUTCOME_UNKNOWN";
        case Reason::not_durable:
            return "NOT_DURABLE";
        case Reason::recovering:
            return "RECOVERING";
        case Reason::quota:
            return "QUOTA";
        case Reason::queue_full:
            return "QUEUE_FULL";
        case Reason::draining:
            return "DRAINING";
        case Reason::cancelled:
            return "CANCELLED";
    }
    return "INTERNAL";
}

void fill(google::rpc::Status& details, const core::Error& error) {
    details.set_code(code_of(error.reason));
    details.set_message(error.message);
    details.add_details()->PackFrom(info_of(error));
    if (error.reason == Reason::invalid_argument) {
        google::rpc::BadRequest bad;
        auto* violation = bad.add_field_violations();
        violation->set_field(error.field);
        violation->set_description(error.message);
        details.add_details()->PackFrom(bad);
    }
    if (error.retry_after) {
        details.add_details()->PackFrom(retry_of(*error.retry_after));
    }
}

core::Error too_late() {
    return {Reason::outcome_unknown,
            "the grant came too late to be of use and is being undone; ask again"};
}

grpc::Status to_status(const core::Error& error) {
    google::rpc::Status details;
    fill(details, error);
    return {code_of(error.reason), error.message, details.SerializeAsString()};
}

}  // namespace holdfast::rpc
