#pragma once

#include <string>

namespace holdfast::test {

// A program of this build, by its name.
std::string program(const std::string& name);

// A file of the repository, by its path from the top.
std::string source_file(const std::string& path);

}  // namespace holdfast::test
