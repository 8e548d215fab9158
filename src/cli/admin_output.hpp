#pragma once

// What the verbs for operators print.

#include "holdfast/v1/admin_service.pb.h"

#include <string>

namespace holdfast::cli {

namespace v1 = ::holdfast::v1;

std::string show(const v1::ExplainResponse& explained);
std::string to_json(const v1::ExplainResponse& explained);

std::string show(const v1::RevokeResponse& revoked);
std::string to_json(const v1::RevokeResponse& revoked);

std::string show(const v1::ForceReleaseResponse& released);
std::string to_json(const v1::ForceReleaseResponse& released);

std::string show(const v1::ListSessionsResponse& sessions);
std::string to_json(const v1::ListSessionsResponse& sessions);

std::string show(const v1::GetStatusResponse& status);
std::string to_json(const v1::GetStatusResponse& status);

}  // namespace holdfast::cli
