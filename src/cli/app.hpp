#pragma once

// The holdfast program without its process: arguments in, text and an exit code out.

#include "cli/exit_code.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace holdfast::cli {

// `arguments` without the program's name.
ExitCode run(std::vector<std::string> arguments,
             std::istream& in,
             std::ostream& out,
             std::ostream& err);

}  // namespace holdfast::cli
