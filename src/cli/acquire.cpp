// holdfast acquire NAME: takes a lock and prints its lease.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/lease_output.hpp"
#include "cli/text.hpp"

#include <array>
#include <cstdlib>
#include <ostream>
#include <sys/random.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

struct Options {
    std::string name;
    std::string ttl;
    std::string wait;
    std::string max_hold;
    std::string owner;
    std::string metadata;
    std::string request_id;
    bool quiet = false;
};

std::string default_owner() {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    const char* user = std::getenv("USER");
    return std::string{user != nullptr ? user : "uid " + std::to_string(getuid())} + "@" +
           host.data();
}

// Empty if the system has no randomness to give: then there is no retry.
std::string random_request_id() {
    std::string bytes(32, '\0');
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    return got == static_cast<ssize_t>(bytes.size()) ? bytes : std::string{};
}

std::uint64_t ms(const std::string& text) {
    return static_cast<std::uint64_t>(
        parse_duration(text).value_or(std::chrono::milliseconds{0}).count());
}

v1::AcquireRequest request_of(const Options& options) {
    v1::AcquireRequest request;
    request.set_name(options.name);
    request.set_ttl_ms(ms(options.ttl));
    request.set_wait_ms(ms(options.wait));
    request.set_max_hold_ms(ms(options.max_hold));
    request.set_owner(options.owner.empty() ? default_owner() : options.owner);
    request.set_metadata(options.metadata);
    request.set_request_id(options.request_id.empty() ? random_request_id()
                                                      : *parse_hex(options.request_id));
    return request;
}

ExitCode acquire(const Options& options, Context& context) {
    const v1::AcquireRequest request = request_of(options);
    const auto usual = kUsualTimeout + std::chrono::milliseconds{request.wait_ms()};
    const auto held = Client{context.server, context.timeout_or(usual)}.acquire(request);
    if (!held) {
        return context.fail(held.error());
    }
    if (options.quiet) {
        context.out << held->lease.lease_id() << '\n';
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
    add_duration(*verb, "--ttl", options->ttl, "how long the lease lasts unless renewed; 10s");
    add_duration(*verb, "--wait", options->wait, "how long to wait for the lock; 0: try once");
    add_duration(*verb,
                 "--max-hold",
                 options->max_hold,
                 "let the daemon renew the lease for so long, until it is released");
    verb->add_option("--owner", options->owner, "shown to others; user@host");
    verb->add_option("--metadata", options->metadata, "shown to others; up to 4 KiB");
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
