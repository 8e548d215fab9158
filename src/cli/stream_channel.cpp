#include "cli/stream_channel.hpp"

#include <grpcpp/create_channel.h>

namespace holdfast::cli {
namespace {

// How soon a dead network is noticed: ping after so long without a word, and as long again. A lease
// does not wait for that: it is renewed by other calls when nothing comes on the stream.
constexpr int kKeepaliveMs = 5000;

}  // namespace

std::shared_ptr<grpc::Channel> stream_channel(const std::string& server) {
    grpc::ChannelArguments arguments;
    // A connection of its own, so that no earlier failure delays it, and another daemon may be behind
    // the same address.
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace holdfast::cli
