#pragma once

// From the command line, the environment and a file to Settings. In this order the first that says
// something wins: flag, environment, file, default. All mistakes are reported, not only the first.

#include "daemon/settings.hpp"

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::daemon {

// To be printed instead of running: the text and how to exit. A failure's text goes to stderr.
struct Exit {
    ExitCode code = ExitCode::ok;
    std::string text;
};

using Environment = std::map<std::string, std::string>;

// `arguments` without the program's name.
std::variant<Settings, Exit> configure(const std::vector<std::string>& arguments,
                                       const Environment& environment);

// The process' environment, as far as its names begin with HOLDFAST_.
Environment holdfast_environment();

// A complete file of these settings; secrets are masked.
std::string print_config(const Settings& settings);

}  // namespace holdfast::daemon
