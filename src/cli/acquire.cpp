// holdfast acquire NAME: takes a lock and prints its lease.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/lease_output.hpp"
#include "cli/new_request.hpp"
#include "cli/text.hpp"

#include <ostream>

namespace holdfast::cli {
namespace {

struct Options {
    std::string name;
    RequestOptions request;
    std::string max_hold;
    std::string request_id;
    bool quiet = false;
};

ExitCode acquire(const Options& options, Context& context) {
    v1::AcquireRequest request = new_request(options.name, options.request);
    request.set_max_hold_ms(milliseconds_of(options.max_hold));
    if (const auto id = parse_hex(options.request_id); id && !id->empty()) {
        request.set_request_id(*id);
    }
    const auto usual = kUsualTimeout + std::chrono::milliseconds{request.wait_ms()};
    const auto held = Client{context.server, context.timeout_or(usual)}.acquire(request);
    if (!held) {
        return context.fail(held.error());
    }
    if (options.quiet) {
        context.out << show_text(held->lease.lease_id()) << '\n';
    } else {
        print_lease(context, *held);
    }
    return ExitCode::ok;
}

}  // namespace

void add_acquire(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("acquire", "take a lock and print its lease");
    verb->add_option("name", options->name, "the lock's name")->required();
    add_request_options(*verb, options->request);
    add_duration(*verb,
                 "--max-hold",
                 options->max_hold,
                 "let the daemon renew the lease for so long, until it is released");
    verb->add_option("--request-id",
                     options->request_id,
                     "16 to 64 bytes as hexadecimal digits: the same one gets the same lease")
        ->check([](const std::string& text) {
            return parse_hex(text) ? "" : "\"" + text + "\" is not pairs of hexadecimal digits";
        });
    verb->add_flag("-q,--quiet", options->quiet, "print only the lease id");
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return acquire(*options, context); };
    });
}

}  // namespace holdfast::cli
