// The verbs for operators: revoke, force-release, explain, sessions, status, drain.

#include "cli/admin_output.hpp"
#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/text.hpp"

#include <ostream>
#include <utility>

namespace holdfast::cli {
namespace {

// Of revoke and force-release.
struct Options {
    std::string name;
    std::uint64_t token = 0;
    std::string deadline;
    std::string reason;
    bool immediate = false;
};

Client client(const Context& context) {
    return Client{context.server, context.timeout_or(kUsualTimeout)};
}

// Prints an answer, or the failure.
template <class Response>
ExitCode answer(Context& context, const Outcome<Response>& outcome) {
    if (!outcome) {
        return context.fail(outcome.error());
    }
    context.out << (context.json() ? to_json(*outcome) : show(*outcome));
    return ExitCode::ok;
}

ExitCode revoke(const Options& options, Context& context) {
    v1::RevokeRequest request;
    request.set_name(options.name);
    request.set_fencing_token(options.token);
    request.set_deadline_ms(milliseconds_of(options.deadline));
    request.set_reason(options.reason);
    const auto revoked = client(context).revoke(request);
    const ExitCode code = answer(context, revoked);
    return code == ExitCode::ok && revoked->asked().empty() ? ExitCode::not_found : code;
}

ExitCode force_release(const Options& options, Context& context) {
    if (options.immediate) {
        context.err
            << "holdfast: warning: --immediate frees the lock although its holder may still "
               "believe in it: exclusion may be broken unless the resource checks tokens\n";
    }
    v1::ForceReleaseRequest request;
    request.set_name(options.name);
    request.set_fencing_token(options.token);
    request.set_immediate(options.immediate);
    request.set_reason(options.reason);
    const auto released = client(context).force_release(request);
    const ExitCode code = answer(context, released);
    return code == ExitCode::ok && released->released().empty() ? ExitCode::not_found : code;
}

ExitCode drain(const std::string& deadline, Context& context) {
    const auto drained =
        client(context).drain(std::chrono::milliseconds{milliseconds_of(deadline)});
    if (!drained) {
        return context.fail(drained.error());
    }
    context.out << (context.json() ? "{\"draining\":true}\n" : "draining\n");
    return ExitCode::ok;
}

// What revoke and force-release have in common.
void add_holder_options(CLI::App& verb, Options& options) {
    verb.add_option("name", options.name, "the lock's name")->required();
    verb.add_option("--token", options.token, "only if this token holds it; whoever holds it");
    verb.add_option("--reason", options.reason, "shown to the holder; at most 256 bytes");
}

}  // namespace

void add_revoke(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("revoke", "ask a lock's holder to give it up");
    verb->footer(
        "A holder on a stream is told at once; holdfast run sends its command SIGTERM. After the\n"
        "deadline the lock is renewed no more, and free when its lease has ended.\n\n"
        "Exit code: 5 if nobody holds it, or not with that token.\n\n"
        "Example: holdfast revoke nightly-report --deadline 30s --reason 'maintenance at noon'");
    add_holder_options(*verb, *options);
    add_duration(*verb, "--deadline", options->deadline, "from now on, at most 1h; 10s");
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return revoke(*options, context); };
    });
}

void add_force_release(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("force-release", "take a lock away from its holder");
    verb->footer(
        "The holder is told that it has lost the lock, which is renewed no more and free when its\n"
        "lease has ended: exclusion is kept. With --immediate it is free at once, and exclusion "
        "may\n"
        "be broken.\n\n"
        "Exit code: 5 if nobody holds it, or not with that token.\n\n"
        "Example: holdfast force-release nightly-report --token 1764000000000001");
    add_holder_options(*verb, *options);
    verb->add_flag("--immediate",
                   options->immediate,
                   "free it now, although its holder may still believe that it has it");
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return force_release(*options, context); };
    });
}

void add_explain(CLI::App& app, Context& context) {
    auto name = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("explain", "why a lock is stuck: who has it, who waits");
    verb->footer("Example: holdfast explain nightly-report");
    verb->add_option("name", *name, "the lock's name")->required();
    verb->callback([name, &context] {
        context.chosen = [name, &context] {
            return answer(context, client(context).explain(*name));
        };
    });
}

void add_sessions(CLI::App& app, Context& context) {
    auto all = std::make_shared<bool>(false);
    CLI::App* verb = app.add_subcommand("sessions", "the streams that the daemon serves");
    verb->add_flag("--all", *all, "those of every daemon on the same store");
    verb->callback([all, &context] {
        context.chosen = [all, &context] {
            return answer(context, client(context).list_sessions(*all));
        };
    });
}

void add_status(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("status", "the daemon's version, readiness and load");
    verb->callback([&context] {
        context.chosen = [&context] { return answer(context, client(context).status()); };
    });
}

void add_drain(CLI::App& app, Context& context) {
    auto deadline = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("drain", "let the daemon send its clients away and exit");
    add_duration(*verb, "--deadline", *deadline, "at the latest; its setting drain.timeout");
    verb->callback([deadline, &context] {
        context.chosen = [deadline, &context] { return drain(*deadline, context); };
    });
}

}  // namespace holdfast::cli
