#pragma once

// The outcome of a load as people and programs read it.

#include "cli/load.hpp"

namespace holdfast::cli {

// `names`: of the kinds of calls.
std::string show(const LoadResult& result, const std::vector<std::string>& names);
std::string to_json(const LoadResult& result, const std::vector<std::string>& names);

}  // namespace holdfast::cli
