// holdfast health: is the daemon ready? For probes, and for scripts that wait for it.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/text.hpp"

#include <ostream>
#include <thread>

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskAgain{100};
constexpr std::chrono::milliseconds kProbeTimeout{3000};

struct Options {
    std::string service;
    std::string wait;
};

ExitCode health(const Options& options, Context& context) {
    const auto wait = parse_duration(options.wait).value_or(std::chrono::milliseconds{0});
    const auto end = Clock::now() + wait;
    for (;;) {
        const auto serving =
            Client{context.server, context.timeout_or(kProbeTimeout)}.serving(options.service);
        if (serving && *serving) {
            context.out << (context.json() ? "{\"serving\":true}\n" : "serving\n");
            return ExitCode::ok;
        }
        if (Clock::now() + kAskAgain < end) {
            std::this_thread::sleep_for(kAskAgain);
            continue;
        }
        if (!serving) {
            return context.fail(serving.error());
        }
        return context.fail({ExitCode::failed,
                             "NOT_SERVING",
                             "holdfastd at " + context.server +
                                 " is not ready: its store does not answer, or it drains",
                             {}});
    }
}

}  // namespace

void add_health(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("health", "is the daemon ready? exit code 0 if it is");
    verb->add_option("--service", options->service, "of the daemon; all of it by default");
    add_duration(*verb, "--wait", options->wait, "how long to wait for it to become ready");
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return health(*options, context); };
    });
}

}  // namespace holdfast::cli
