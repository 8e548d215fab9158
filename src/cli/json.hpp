#pragma once

// JSON as the verbs print it.

#include <boost/json/value.hpp>

#include <string>

namespace holdfast::cli {

// One line. The control characters that JSON allows in a string (U+007F to U+009F) are escaped too,
// so that it can be looked at in a terminal.
std::string json_line(const boost::json::value& value);

}  // namespace holdfast::cli
