// holdfast: see app.hpp.

#include "cli/app.hpp"

#include <iostream>

int main(int argc, char** argv) {
    try {
        return static_cast<int>(
            holdfast::cli::run({argv + 1, argv + argc}, std::cin, std::cout, std::cerr));
    } catch (const std::exception& error) {
        std::cerr << "holdfast: " << error.what() << '\n';
        return static_cast<int>(holdfast::cli::ExitCode::failed);
    }
}
