// holdfast completion SHELL: prints a script that the shell is to read.

#include "cli/completion.hpp"

#include "cli/command.hpp"

#include <ostream>

namespace holdfast::cli {
namespace {

// CLI11 tells the choices only as a part of the type's name: "TEXT:{text,json}".
std::vector<std::string> values_of(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    const std::size_t open = type.find('{');
    const std::size_t close = type.find('}');
    if (open == std::string::npos || close == std::string::npos) {
        return {};
    }
    return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

VerbWords words_of_one(const CLI::App& app, const std::string& name) {
    VerbWords verb{name, app.get_description(), {}};
    for (const CLI::Option* option : app.get_options()) {
        OptionWord word{"",
                        option->get_description(),
                        option->get_items_expected_max() > 0,
                        values_of(*option)};
        for (const std::string& longer : option->get_lnames()) {
            word.word = "--" + longer;
            verb.options.push_back(word);
        }
        for (const std::string& shorter : option->get_snames()) {
            word.word = "-" + shorter;
            verb.options.push_back(word);
        }
    }
    return verb;
}

std::string join(const std::vector<std::string>& words) {
    return CLI::detail::join(words, " ");
}

std::string option_names(const VerbWords& verb) {
    std::vector<std::string> names;
    for (const OptionWord& option : verb.options) {
        names.push_back(option.word);
    }
    return join(names);
}

std::string verb_names(const std::vector<VerbWords>& verbs) {
    std::vector<std::string> names;
    for (std::size_t i = 1; i < verbs.size(); ++i) {
        names.push_back(verbs[i].name);
    }
    return join(names);
}

// With a backslash before each of `special`.
std::string escaped(const std::string& text, const std::string& special) {
    std::string escaped;
    for (const char c : text) {
        escaped += special.find(c) == std::string::npos ? "" : "\\";
        escaped += c;
    }
    return escaped;
}

// In single quotes, as every shell reads them.
std::string quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) {
        quoted += c == '\'' ? "'\\''" : std::string{c};
    }
    return quoted + "'";
}

// The branches that answer the value of the option before: a few words, or nothing.
std::string bash_values(const VerbWords& verb) {
    std::string text;
    for (const OptionWord& option : verb.options) {
        if (option.takes_value) {
            text += "        " + (verb.name.empty() ? "*" : verb.name) + quoted(" " + option.word) +
                    ") COMPREPLY=($(compgen -W " + quoted(join(option.values)) +
                    " -- \"$cur\")); return ;;\n";
        }
    }
    return text;
}

// As _arguments has it: '--ttl[help]:value:'.
std::string zsh_options(const VerbWords& verb) {
    std::string text;
    for (const OptionWord& option : verb.options) {
        const std::string values =
            option.values.empty() ? std::string{} : "(" + join(option.values) + ")";
        text += quoted(option.word + "[" + escaped(option.help, "[]:\\") + "]" +
                       (option.takes_value ? ":value:" + values : std::string{})) +
                " \\\n                ";
    }
    return text;
}

}  // namespace

std::vector<VerbWords> words_of(const CLI::App& app) {
    std::vector<VerbWords> verbs{words_of_one(app, "")};
    for (const CLI::App* verb : app.get_subcommands(std::function<bool(const CLI::App*)>{})) {
        verbs.push_back(words_of_one(*verb, verb->get_name()));
    }
    return verbs;
}

std::string bash_completion(const std::vector<VerbWords>& verbs) {
    std::string with_value;  // of the program itself: the word after it is no verb
    for (const OptionWord& option : verbs.front().options) {
        with_value += option.takes_value ? (with_value.empty() ? "" : "|") + option.word : "";
    }
    std::string values;
    std::string options;
    for (const VerbWords& verb : verbs) {
        values += bash_values(verb);
        options += "        " + quoted(verb.name) + ") words+=" +
                   quoted(" " + (verb.name.empty() ? verb_names(verbs) : option_names(verb))) +
                   " ;;\n";
    }
    return R"(# holdfast completion bash
_holdfast() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) compopt -o default; return ;;
            )" +
           with_value +
           R"() ((i++)) ;;
            -*) ;;
            *) : "${verb:=${COMP_WORDS[i]}}" ;;
        esac
    done
    case "$verb $prev" in
)" + values +
           "    esac\n    local words=" + quoted(option_names(verbs.front())) +
           "\n    case $verb in\n" + options + R"(    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _holdfast holdfast
)";
}

std::string zsh_completion(const std::vector<VerbWords>& verbs) {
    std::string names;
    std::string cases;
    for (std::size_t i = 1; i < verbs.size(); ++i) {
        names += "        " + quoted(escaped(verbs[i].name, ":\\") + ":" + verbs[i].help) + "\n";
        cases += "            " + verbs[i].name + ") _arguments " + zsh_options(verbs[i]) +
                 "'*::argument:_default' ;;\n";
    }
    return R"(#compdef holdfast
# holdfast completion zsh
_holdfast() {
    local state line
    local -a verbs=(
)" + names +
           R"(    )
    _arguments -C )" +
           zsh_options(verbs.front()) + R"('1:verb:{_describe verb verbs}' '*::argument:->verb'
    if [[ $state = verb ]]; then
        case $line[1] in
)" + cases +
           R"(        esac
    fi
}
compdef _holdfast holdfast
)";
}

std::string fish_completion(const std::vector<VerbWords>& verbs) {
    std::string text = "# holdfast completion fish\n";
    for (const VerbWords& verb : verbs) {
        const std::string when = verb.name.empty()
                                     ? std::string{}
                                     : " -n " + quoted("__fish_seen_subcommand_from " + verb.name);
        if (!verb.name.empty()) {
            text += "complete -c holdfast -f -n __fish_use_subcommand -a " + verb.name + " -d " +
                    quoted(verb.help) + "\n";
        }
        for (const OptionWord& option : verb.options) {
            const bool longer = option.word.starts_with("--");
            text += "complete -c holdfast" + when + (longer ? " -l " : " -s ") +
                    option.word.substr(longer ? 2 : 1) + (option.takes_value ? " -x" : "") +
                    (option.values.empty() ? "" : " -a " + quoted(join(option.values))) + " -d " +
                    quoted(option.help) + "\n";
        }
    }
    return text;
}

void add_completion(CLI::App& app, Context& context) {
    auto shell = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("completion", "print a completion script for a shell");
    verb->footer(
        "Examples:\n"
        "  source <(holdfast completion bash)\n"
        "  holdfast completion zsh > ~/.zfunc/_holdfast\n"
        "  holdfast completion fish > ~/.config/fish/completions/holdfast.fish");
    verb->add_option("shell", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    verb->callback([shell, &app, &context] {
        context.chosen = [shell, &app, &context] {
            const auto words = words_of(app);
            context.out << (*shell == "bash"  ? bash_completion(words)
                            : *shell == "zsh" ? zsh_completion(words)
                                              : fish_completion(words));
            return ExitCode::ok;
        };
    });
}

}  // namespace holdfast::cli
