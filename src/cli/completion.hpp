#pragma once

// Completion scripts for shells, made from the options that the program really has.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace holdfast::cli {

// One option as it is typed.
struct OptionWord {
    std::string word;  // --ttl
    std::string help;  // one line
    bool takes_value = false;
    std::vector<std::string> values{};  // if only these are possible
};

// A verb, or the program itself (its name is empty).
struct VerbWords {
    std::string name;
    std::string help;
    std::vector<OptionWord> options;
};

// The program first.
std::vector<VerbWords> words_of(const CLI::App& app);

std::string bash_completion(const std::vector<VerbWords>& verbs);
std::string zsh_completion(const std::vector<VerbWords>& verbs);
std::string fish_completion(const std::vector<VerbWords>& verbs);

}  // namespace holdfast::cli
