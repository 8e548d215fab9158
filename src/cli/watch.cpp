// holdfast watch NAME, holdfast watch --prefix P: a lock's state, or that of many, and every change of
// it, until it is interrupted.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/stream_channel.hpp"
#include "cli/watch_output.hpp"

#include <ostream>

namespace holdfast::cli {
namespace {

struct Options {
    std::string name;
    std::string prefix;
    bool by_prefix = false;
};

ExitCode watch(const Options& options, Context& context) {
    v1::WatchRequest request;
    if (options.by_prefix) {
        request.set_prefix(options.prefix);
    } else {
        request.set_name(options.name);
    }
    const auto stub = v1::LockService::NewStub(stream_channel(context.server));
    grpc::ClientContext call;
    const auto reader = stub->Watch(&call, request);
    for (v1::WatchEvent event; reader->Read(&event);) {
        context.out << (context.json() ? to_json(event) : show(event)) << std::flush;
    }
    const grpc::Status status = reader->Finish();
    return status.ok() ? ExitCode::ok : context.fail(failure_of(status, context.server));
}

}  // namespace

void add_watch(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("watch", "who holds a lock, and every change, as it comes");
    verb->footer(
        "First the locks that are held (snapshot), then each change. \"missed\" means that "
        "changes\n"
        "were lost on the way: a new snapshot follows. Ends when it is interrupted, or with 69 "
        "when\n"
        "the daemon goes away or cannot be reached any more.\n\n"
        "Examples:\n"
        "  holdfast watch nightly-report\n"
        "  holdfast -o json watch --prefix jobs/");
    CLI::Option* name = verb->add_option("name", options->name, "the lock's name");
    CLI::Option* prefix = verb->add_option(
        "--prefix", options->prefix, "all locks whose names begin with this; \"\": all");
    prefix->excludes(name);
    verb->callback([options, name, prefix, &context] {
        options->by_prefix = prefix->count() > 0;
        if (!options->by_prefix && name->count() == 0) {
            throw CLI::RequiredError{"name or --prefix"};
        }
        context.chosen = [options, &context] { return watch(*options, context); };
    });
}

}  // namespace holdfast::cli
