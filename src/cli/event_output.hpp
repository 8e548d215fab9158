#pragma once

// What happens to a lease, as `hold` prints it: a line for people, a JSON object on a line for programs.
// The lease id is in `granted` only.

#include "cli/keeper.hpp"

#include <boost/json/object.hpp>

#include <string>

namespace holdfast::cli {

// `safe_for`: of the lease, from now on. Empty: there is nothing to print.
std::string show(const Told& told, std::chrono::milliseconds safe_for);
std::string to_json(const Told& told, std::chrono::milliseconds safe_for);

// The verdict of a release, as a part of a sentence.
const char* describe(v1::Verdict verdict);
// The same for the cause of a loss.
const char* describe(v1::LossCause cause);

}  // namespace holdfast::cli
