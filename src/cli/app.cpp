#include "cli/app.hpp"

#include "cli/command.hpp"
#include "cli/text.hpp"
#include "holdfast/version.hpp"

#include <algorithm>
#include <cstdlib>
#include <ostream>

namespace holdfast::cli {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  holdfast acquire nightly-report --ttl 30s --wait 5s\n"
    "  holdfast acquire nightly-report -q | holdfast release -\n"
    "  holdfast run nightly-report --ttl 30s -- ./report.sh\n"
    "  holdfast hold nightly-report --wait 5m\n"
    "  holdfast -o json ls\n"
    "  holdfast explain nightly-report\n"
    "  holdfast completion bash > /etc/bash_completion.d/holdfast\n\n"
    "Exit codes: 0 done; 1 failed, or not serving (health); 2 wrong arguments; 3 the lease had\n"
    "expired, nobody took the lock since (release); 4 a later grant exists (release); 5 no such\n"
    "lease, or nobody holds the lock; 69 the daemon or its store cannot be reached, or the "
    "outcome\n"
    "is unknown; 75 the lock is held by another; 76 the lease is lost. run and hold have their "
    "own:\n"
    "holdfast run --help.";

std::string default_server() {
    const char* server = std::getenv("HOLDFAST_SERVER");
    return server != nullptr && *server != '\0' ? server : "127.0.0.1:7420";
}

// The verb among the arguments: the first that is no option, nor the value of one.
std::string verb_of(const CLI::App& app, const std::vector<std::string>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (!arguments[i].starts_with("-")) {
            return arguments[i];
        }
        const CLI::Option* option = app.get_option_no_throw(arguments[i]);
        i += option != nullptr && option->get_items_expected_max() > 0 ? 1 : 0;
    }
    return {};
}

// What comes after --, cut off: CLI11 does not keep it apart from other positional arguments.
std::vector<std::string> cut_command(std::vector<std::string>& arguments) {
    const auto mark = std::find(arguments.begin(), arguments.end(), "--");
    if (mark == arguments.end()) {
        return {};
    }
    std::vector<std::string> command{mark + 1, arguments.end()};
    arguments.erase(mark, arguments.end());
    return command;
}

}  // namespace

std::chrono::milliseconds Context::timeout_or(std::chrono::milliseconds usual) const {
    return timeout.empty() ? usual : parse_duration(timeout).value_or(usual);
}

ExitCode Context::fail(const Failure& failure) {
    err << (json() ? to_json(failure) : show(failure));
    return failure.code;
}

CLI::Option* add_duration(CLI::App& app,
                          const std::string& name,
                          std::string& text,
                          const std::string& help) {
    return app.add_option(name, text, help)->check([](const std::string& value) {
        return parse_duration(value)
                   ? std::string{}
                   : "\"" + value +
                         "\" is not a duration; write it with a unit: 500ms, 10s, 1m30s, 2h";
    });
}

ExitCode run(std::vector<std::string> arguments,
             std::istream& in,
             std::ostream& out,
             std::ostream& err) {
    Context context{default_server(), "text", "", in, out, err, {}, {}};
    CLI::App app{"holdfast, the command line of the Holdfast lock service", "holdfast"};
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(kFooter);
    app.set_version_flag("--version",
                         "holdfast " + std::string{kVersion} + " (" + std::string{kCommit} + ")");
    app.add_option("--server", context.server, "host:port or unix:/path (HOLDFAST_SERVER)")
        ->capture_default_str();
    app.add_option("-o,--output", context.output, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    add_duration(app, "--timeout", context.timeout, "how long a call may take; 10s, and the wait");
    for (const auto add : {add_acquire,
                           add_release,
                           add_renew,
                           add_hold,
                           add_run,
                           add_ls,
                           add_show,
                           add_watch,
                           add_explain,
                           add_revoke,
                           add_force_release,
                           add_sessions,
                           add_status,
                           add_drain,
                           add_health,
                           add_bench,
                           add_completion}) {
        add(app, context);
    }
    if (verb_of(app, arguments) == "run") {
        context.command = cut_command(arguments);
    }
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app.parse(arguments);
    } catch (const CLI::ParseError& error) {
        return app.exit(error, out, err) == 0 ? ExitCode::ok : ExitCode::usage;
    }
    return context.chosen();
}

}  // namespace holdfast::cli
