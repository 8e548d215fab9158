#pragma once

// The state of a lock as the verbs print it.

#include "holdfast/v1/lock.pb.h"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace holdfast::cli {

namespace v1 = ::holdfast::v1;

boost::json::object json_of(const v1::Holder& holder);
boost::json::object json_of(const v1::LockState& lock);

// "exclusive", "shared", "permit".
std::string show_mode(v1::Mode mode);
// A line for each property, a block for each holder.
std::string show(const v1::LockState& lock);
// One line without its end: mode, who holds it, how many wait.
std::string show_line(const v1::LockState& lock);

// For a table of locks: a row for each holder.
std::vector<std::string> lock_heading();
void add_rows(const v1::LockState& lock, std::vector<std::vector<std::string>>& rows);

}  // namespace holdfast::cli
