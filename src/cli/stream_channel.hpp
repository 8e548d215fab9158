#pragma once

// The connection of a call that stays open: a dead network ends it (UNAVAILABLE) within twice 5 s, also
// while nothing is to be told.

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace holdfast::cli {

std::shared_ptr<grpc::Channel> stream_channel(const std::string& server);

}  // namespace holdfast::cli
