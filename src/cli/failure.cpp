#include "cli/failure.hpp"

#include "cli/json.hpp"
#include "cli/text.hpp"
#include "google/rpc/error_details.pb.h"

#include <boost/json/object.hpp>

#include <utility>

namespace holdfast::cli {
namespace {

ExitCode code_of(const std::string& reason, grpc::StatusCode status) {
    static constexpr std::pair<const char*, ExitCode> kByReason[] = {
        {"LOCK_HELD", ExitCode::not_obtained},
        {"LEASE_LOST", ExitCode::lost},
        {"NOT_FOUND", ExitCode::not_found},
    };
    for (const auto& [name, code] : kByReason) {
        if (reason == name) {
            return code;
        }
    }
    switch (status) {
        case grpc::StatusCode::UNAVAILABLE:
        case grpc::StatusCode::DEADLINE_EXCEEDED:
            return ExitCode::unavailable;
        case grpc::StatusCode::INVALID_ARGUMENT:
            return ExitCode::usage;
        default:
            return ExitCode::failed;
    }
}

}  // namespace

Failure failure_of(const grpc::Status& status, const std::string& server) {
    Failure failure;
    failure.message = status.error_message();
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    if (details.ParseFromString(status.error_details())) {
        for (const auto& detail : details.details()) {
            if (detail.UnpackTo(&info)) {
                failure.reason = info.reason();
                failure.metadata = {info.metadata().begin(), info.metadata().end()};
            }
        }
    }
    failure.code = code_of(failure.reason, status.error_code());
    failure.retry = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!failure.reason.empty()) {
        return failure;
    }
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
        failure.reason = "UNREACHABLE";
        failure.message = "cannot reach holdfastd at " + server + ": " + failure.message +
                          "; is it running? (--server or HOLDFAST_SERVER says where)";
    } else if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
        failure.reason = "DEADLINE_EXCEEDED";
        failure.message = "no answer from holdfastd at " + server + " in time (--timeout)";
    } else {
        failure.reason = "GRPC_" + std::to_string(status.error_code());
    }
    return failure;
}

std::string show(const Failure& failure) {
    return "holdfast: " + show_text(failure.message) + " (" + show_text(failure.reason) + ")\n";
}

std::string to_json(const Failure& failure) {
    boost::json::object metadata;
    for (const auto& [key, value] : failure.metadata) {
        metadata[key] = value;
    }
    const boost::json::object error{
        {"reason", failure.reason}, {"message", failure.message}, {"metadata", metadata}};
    return json_line(boost::json::object{{"error", error}});
}

}  // namespace holdfast::cli
