#include "cli/new_request.hpp"

#include "cli/text.hpp"

#include <array>
#include <charconv>
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

// What both requests have.
template <class Request>
Request common(const RequestOptions& options) {
    Request request;
    request.set_ttl_ms(milliseconds_of(options.ttl));
    request.set_wait_ms(milliseconds_of(options.wait));
    request.set_owner(options.owner.empty() ? default_owner() : options.owner);
    request.set_metadata(options.metadata);
    request.set_request_id(random_request_id());
    request.set_priority(options.priority);
    request.set_lock_delay_ms(milliseconds_of(options.lock_delay));
    if (options.replicas > 0) {
        request.set_durability(v1::DURABILITY_REPLICATED);
        request.set_replicas(options.replicas);
    }
    request.set_mode(options.shared ? v1::MODE_SHARED : v1::MODE_UNSPECIFIED);
    return request;
}

}  // namespace

std::optional<Permit> parse_permit(std::string_view text) {
    Permit permit;
    const char* const end = text.data() + text.size();
    const auto [slash, error] = std::from_chars(text.data(), end, permit.permits);
    if (error != std::errc{} || slash == end || *slash != '/') {
        return {};
    }
    const auto [rest, limit_error] = std::from_chars(slash + 1, end, permit.limit);
    const bool good = limit_error == std::errc{} && rest == end && permit.permits >= 1 &&
                      permit.permits <= permit.limit;
    return good ? std::optional{permit} : std::nullopt;
}

void add_request_options(CLI::App& verb, RequestOptions& options) {
    add_duration(verb, "--ttl", options.ttl, "how long the lease lasts unless renewed; 10s");
    add_duration(verb, "--wait", options.wait, "how long to wait for the lock; 0: try once");
    CLI::Option* shared =
        verb.add_flag("--shared", options.shared, "together with other shared holders");
    verb.add_option("--permit", options.permit, "K/N: K of the N permits that this lock has")
        ->excludes(shared)
        ->check([](const std::string& text) {
            return parse_permit(text)
                       ? std::string{}
                       : "\"" + text +
                             "\" is not K/N, like 2/5: how many permits, of how many "
                             "that there are in all hands together";
        });
    verb.add_option("--priority", options.priority, "-10 to 10: a second earlier in the queue each")
        ->check(CLI::Range(-10, 10));
    add_duration(verb,
                 "--lock-delay",
                 options.lock_delay,
                 "how long nobody gets the lock after it was lost without a release");
    verb.add_option("--replicas",
                    options.replicas,
                    "how many replicas of the store must acknowledge the grant and each renewal")
        ->check(CLI::Range(1, 16));
    verb.add_option("--owner", options.owner, "shown to others; user@host");
    verb.add_option("--metadata", options.metadata, "shown to others; up to 4 KiB");
}

v1::AcquireRequest new_request(const std::string& name, const RequestOptions& options) {
    auto request = common<v1::AcquireRequest>(options);
    request.set_name(name);
    if (const auto permit = parse_permit(options.permit)) {
        request.set_mode(v1::MODE_PERMIT);
        request.set_permits(permit->permits);
        request.set_limit(permit->limit);
    }
    return request;
}

v1::AcquireAllRequest new_request(const std::vector<std::string>& names,
                                  const RequestOptions& options) {
    auto request = common<v1::AcquireAllRequest>(options);
    request.mutable_names()->Assign(names.begin(), names.end());
    return request;
}

}  // namespace holdfast::cli
