#pragma once

// What the verbs that take a lock ask for, and the request made of it.

#include "cli/command.hpp"
#include "holdfast/v1/lock_service.pb.h"

#include <string>

namespace holdfast::cli {

struct RequestOptions {
    std::string name;
    std::string ttl;
    std::string wait;
    std::string owner;
    std::string metadata;
};

void add_request_options(CLI::App& verb, RequestOptions& options);

// With a random request_id, so that it can be sent again.
v1::AcquireRequest new_request(const RequestOptions& options);

}  // namespace holdfast::cli
