#pragma once

// A lease as the verbs print it.

#include "cli/client.hpp"
#include "cli/command.hpp"

namespace holdfast::cli {

void print_lease(Context& context, const Held& held);

}  // namespace holdfast::cli
