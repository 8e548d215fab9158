#include "support/paths.hpp"

namespace holdfast::test {

std::string program(const std::string& name) {
    return std::string{HOLDFAST_BINARY_DIR} + "/" + name;
}

std::string source_file(const std::string& path) {
    return std::string{HOLDFAST_SOURCE_DIR} + "/" + path;
}

}  // namespace holdfast::test
