#pragma once

// The one place where the domain's errors become gRPC's.

#include "core/error.hpp"

#include <grpcpp/support/status.h>

#include <string_view>

namespace google::rpc {
class Status;
}

namespace holdfast::rpc {

// The reason as clients see it in google.rpc.ErrorInfo, for example LOCK_HELD.
std::string_view name_of(core::Reason reason);

// Status with google.rpc.Status in its details: ErrorInfo always, BadRequest if a field was wrong,
// RetryInfo if the error says when to try again.
// A grant that is given up, as little of it would be left for its holder.
core::Error too_late();

grpc::Status to_status(const core::Error& error);
// The same as a message, for an answer on a stream.
void fill(google::rpc::Status& status, const core::Error& error);

}  // namespace holdfast::rpc
