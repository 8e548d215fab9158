#pragma once

// What the verbs that take a lock ask for, and the request made of it.

#include "cli/command.hpp"
#include "holdfast/v1/lock_service.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

struct RequestOptions {
    std::string ttl;
    std::string wait;
    std::string owner;
    std::string metadata;
    bool shared = false;
    std::string permit;  // K/N; empty: none
    int priority = 0;
    std::string lock_delay;
    std::uint32_t replicas = 0;
};

// Of N permits in all hands together, K.
struct Permit {
    std::uint32_t permits = 1;
    std::uint32_t limit = 1;
};

// "2/5". Empty if it is not that, or if K is not 1 to N.
std::optional<Permit> parse_permit(std::string_view text);

void add_request_options(CLI::App& verb, RequestOptions& options);

// With a random request_id, so that it can be sent again.
v1::AcquireRequest new_request(const std::string& name, const RequestOptions& options);
// The same for several locks, all or none.
v1::AcquireAllRequest new_request(const std::vector<std::string>& names,
                                  const RequestOptions& options);

}  // namespace holdfast::cli
