#pragma once

// What a call that failed means: for people, for programs, and as an exit code.

#include "cli/exit_code.hpp"

#include <grpcpp/support/status.h>

#include <map>
#include <string>

namespace holdfast::cli {

struct Failure {
    ExitCode code = ExitCode::failed;
    std::string reason;  // as in google.rpc.ErrorInfo, or the gRPC status' name
    std::string message;
    std::map<std::string, std::string> metadata;
    bool retry = false;  // UNAVAILABLE: the same call may succeed later, or elsewhere
};

// `server` is named if it was not reached.
Failure failure_of(const grpc::Status& status, const std::string& server);

// One line.
std::string show(const Failure& failure);
// {"error":{...}}
std::string to_json(const Failure& failure);

}  // namespace holdfast::cli
