#pragma once

// What the stations have said, as the answers of AdminService: pure functions.

#include "core/peers.hpp"
#include "holdfast/v1/admin_service.pb.h"

namespace holdfast::rpc {

namespace pb = ::holdfast::v1;

// Waiters in the order in which they will be served, as far as every station has told all that come
// before; transitions newest first. A release tells no owner: it is that of the grant, wherever that was.
void fill(pb::ExplainResponse& response, const core::PeerAnswers& gathered);

void fill(pb::ListSessionsResponse& response, const core::PeerAnswers& gathered);
void fill(pb::SessionInfo& session, const core::StreamReport& stream, const std::string& daemon);

}  // namespace holdfast::rpc
