// holdfast bench: closed-loop load on a daemon, to see what a deployment can do.

#include "cli/command.hpp"
#include "cli/load.hpp"
#include "cli/load_report.hpp"
#include "cli/lock_client.hpp"
#include "cli/text.hpp"

#include <grpcpp/create_channel.h>

#include <ostream>
#include <random>
#include <utility>
#include <vector>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDuration{5000};

struct Options {
    std::size_t clients = 64;
    std::size_t connections = 1;
    std::size_t locks = 0;
    std::string duration;
    std::uint32_t replicas = 0;
};

// Names that no other run uses.
std::string name_prefix() {
    return "holdfast-bench-" + std::to_string(std::random_device{}()) + "-";
}

ExitCode bench(const Options& options, Context& context) {
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (std::size_t i = 0; i < options.connections; ++i) {
        grpc::ChannelArguments arguments;
        arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection of its own
        channels.push_back(grpc::CreateCustomChannel(
            context.server, grpc::InsecureChannelCredentials(), arguments));
    }
    const std::string prefix = name_prefix();
    const std::size_t locks = options.locks == 0 ? options.clients : options.locks;
    std::vector<std::unique_ptr<LoadClient>> clients;
    for (std::size_t i = 0; i < options.clients; ++i) {
        std::vector<std::string> own;
        for (std::size_t lock = i % locks; lock < locks; lock += options.clients) {
            own.push_back(prefix + std::to_string(lock));
        }
        clients.push_back(std::make_unique<LockClient>(channels[i % channels.size()],
                                                       std::move(own),
                                                       locks < options.clients,
                                                       options.replicas));
    }
    const LoadResult result =
        run_load(clients, 2, parse_duration(options.duration).value_or(kDuration));
    const std::vector<std::string> names{"acquire", "release"};
    context.out << (context.json() ? to_json(result, names) : show(result, names));
    return result.failed() == 0 ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "bench", "load a daemon: clients that take and release locks as fast as they can");
    verb->add_option("--clients", options->clients, "each with one call under way")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    verb->add_option("--connections", options->connections, "that the clients share")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    verb->add_option(
            "--locks",
            options->locks,
            "fewer than clients: they contend; more: each client goes round its share; 0: one each")
        ->check(CLI::Range(0, 10'000'000))
        ->capture_default_str();
    add_duration(*verb, "--duration", options->duration, "how long; 5s");
    verb->add_option("--replicas",
                     options->replicas,
                     "how many replicas of the store must acknowledge each grant; 0: none")
        ->check(CLI::Range(0, 16));
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return bench(*options, context); };
    });
}

}  // namespace holdfast::cli
