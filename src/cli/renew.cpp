// holdfast renew LEASE_ID: makes a lease last longer.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/lease_output.hpp"
#include "cli/text.hpp"

#include <istream>

namespace holdfast::cli {
namespace {

struct Options {
    std::string lease_id;
    std::string ttl;
};

ExitCode renew(const Options& options, Context& context) {
    std::string lease_id = options.lease_id;
    if (lease_id == "-") {
        std::getline(context.in, lease_id);
    }
    const auto ttl = parse_duration(options.ttl).value_or(std::chrono::milliseconds{0});
    const auto held =
        Client{context.server, context.timeout_or(kUsualTimeout)}.renew(lease_id, ttl);
    if (!held) {
        return context.fail(held.error());
    }
    print_lease(context, *held);
    return ExitCode::ok;
}

}  // namespace

void add_renew(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("renew", "make a lease last longer");
    verb->add_option("lease_id", options->lease_id, "the lease id, or - to read it")->required();
    add_duration(*verb, "--ttl", options->ttl, "from now on; 10s");
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return renew(*options, context); };
    });
}

}  // namespace holdfast::cli
