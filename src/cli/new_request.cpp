#include "cli/new_request.hpp"

#include "cli/text.hpp"

#include <array>
#include <cstdlib>
#include <sys/random.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

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

}  // namespace

void add_request_options(CLI::App& verb, RequestOptions& options) {
    verb.add_option("name", options.name, "the lock's name")->required();
    add_duration(verb, "--ttl", options.ttl, "how long the lease lasts unless renewed; 10s");
    add_duration(verb, "--wait", options.wait, "how long to wait for the lock; 0: try once");
    verb.add_option("--owner", options.owner, "shown to others; user@host");
    verb.add_option("--metadata", options.metadata, "shown to others; up to 4 KiB");
}

v1::AcquireRequest new_request(const RequestOptions& options) {
    v1::AcquireRequest request;
    request.set_name(options.name);
    request.set_ttl_ms(milliseconds_of(options.ttl));
    request.set_wait_ms(milliseconds_of(options.wait));
    request.set_owner(options.owner.empty() ? default_owner() : options.owner);
    request.set_metadata(options.metadata);
    request.set_request_id(random_request_id());
    return request;
}

}  // namespace holdfast::cli
