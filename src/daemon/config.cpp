#include "daemon/config.hpp"

#include "daemon/settings_table.hpp"
#include "holdfast/version.hpp"

#include <CLI/CLI.hpp>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <unistd.h>

namespace holdfast::daemon {
namespace {

using Problems = std::vector<std::string>;
using Values = std::vector<std::string>;

// What the command line says.
struct Flags {
    std::string config;
    std::map<std::string, Values> settings;  // by path
    bool check = false;
    bool print = false;
};

const Setting* find(const std::vector<Setting>& table, const std::string& path) {
    const auto found = std::find_if(
        table.begin(), table.end(), [&](const Setting& setting) { return setting.path == path; });
    return found == table.end() ? nullptr : &*found;
}

void apply(const Setting& setting,
           const std::string& source,
           const Values& values,
           Settings& settings,
           Problems& problems) {
    if (const auto read = setting.read(settings, values); !read) {
        const bool show = setting.kind != Kind::list &&
                          setting.path.find("pass") == std::string::npos &&
                          setting.path != "store.url";
        problems.push_back(source + ": " + setting.path +
                           (show ? " = \"" + values.front() + "\" " : " ") + read.error());
    }
}

// The node as texts, if it is of the setting's kind.
std::optional<Values> texts_of(const toml::node& node, Kind kind) {
    switch (kind) {
        case Kind::text:
        case Kind::duration:
            if (const auto* value = node.as_string()) {
                return Values{value->get()};
            }
            return {};
        case Kind::number:
            if (const auto* value = node.as_integer()) {
                return Values{std::to_string(value->get())};
            }
            return {};
        case Kind::boolean:
            if (const auto* value = node.as_boolean()) {
                return Values{value->get() ? "true" : "false"};
            }
            return {};
        case Kind::list:
            break;
    }
    Values values;
    const auto* array = node.as_array();
    for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
        if (const auto* value = array->get(i)->as_string()) {
            values.push_back(value->get());
        } else {
            return {};
        }
    }
    return array != nullptr ? std::optional{values} : std::nullopt;
}

const char* shape_of(Kind kind) {
    switch (kind) {
        case Kind::text:
            return "a string";
        case Kind::duration:
            return "a string with a unit, like \"10s\"";
        case Kind::number:
            return "a whole number";
        case Kind::boolean:
            return "true or false";
        case Kind::list:
            return "a list of strings";
    }
    return "";
}

void apply_node(const std::string& file,
                const std::string& path,
                const toml::node& node,
                const std::vector<Setting>& table,
                Settings& settings,
                Problems& problems) {
    const std::string where = file + ":" + std::to_string(node.source().begin.line);
    const Setting* setting = find(table, path);
    if (setting == nullptr) {
        problems.push_back(where + ": unknown setting " + path +
                           "; holdfastd --print-config prints all there are");
    } else if (const auto values = texts_of(node, setting->kind)) {
        apply(*setting, where, *values, settings, problems);
    } else {
        problems.push_back(where + ": " + path + " must be " + shape_of(setting->kind));
    }
}

void apply_file(const std::string& file,
                const std::vector<Setting>& table,
                Settings& settings,
                Problems& problems) {
    std::ifstream stream{file};
    std::stringstream text;
    if (!stream || !(text << stream.rdbuf())) {
        problems.push_back(file + ": cannot be read; check that it is a file and its permissions");
        return;
    }
    try {
        const toml::table parsed = toml::parse(text.str(), file);
        for (const auto& [section, content] : parsed) {
            const std::string name{section.str()};
            if (const toml::table* inner = content.as_table()) {
                for (const auto& [key, node] : *inner) {
                    apply_node(
                        file, name + "." + std::string{key.str()}, node, table, settings, problems);
                }
            } else {
                apply_node(file, name, content, table, settings, problems);
            }
        }
    } catch (const toml::parse_error& error) {
        problems.push_back(file + ":" + std::to_string(error.source().begin.line) +
                           ": not TOML: " + std::string{error.description()});
    }
}

Values split_list(const std::string& text) {
    Values values;
    std::stringstream stream{text};
    for (std::string part; std::getline(stream, part, ',');) {
        values.push_back(part);
    }
    return values;
}

// Kubernetes puts such variables into every container of a namespace, for each service in it: one
// called holdfast would otherwise keep the daemon from starting.
bool is_of_a_service(const std::string& name, const std::string& value) {
    const auto port = name.find("_PORT_");
    const bool has_number = port != std::string::npos && port + 6 < name.size() &&
                            std::isdigit(static_cast<unsigned char>(name[port + 6]));
    return name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string::npos ||
           (name.ends_with("_PORT") && value.find("://") != std::string::npos) || has_number;
}

void apply_environment(const Environment& environment,
                       const std::vector<Setting>& table,
                       Settings& settings,
                       Problems& problems) {
    // Of the command-line client and of `holdfast run`; they may be set beside ours.
    const std::set<std::string> foreign{
        "HOLDFAST_SERVER", "HOLDFAST_LOCK", "HOLDFAST_TOKEN", "HOLDFAST_CONFIG"};
    for (const auto& [name, value] : environment) {
        const auto setting =
            std::find_if(table.begin(), table.end(), [&, n = name](const Setting& s) {
                return s.environment() == n;
            });
        if (setting != table.end()) {
            const Values values = setting->kind == Kind::list ? split_list(value) : Values{value};
            apply(*setting, name, values, settings, problems);
        } else if (!foreign.contains(name) && !is_of_a_service(name, value)) {
            problems.push_back(name + ": no such setting; holdfastd --help lists them");
        }
    }
}

std::string footer(const std::vector<Setting>& table) {
    std::string text =
        "Examples:\n"
        "  holdfastd                                   serve with an embedded Redis, to try it "
        "out\n"
        "  holdfastd --store redis://127.0.0.1:6379    serve with a Redis\n"
        "  holdfastd --config /etc/holdfast.toml --check-config\n\n"
        "Every setting, as in the file (section.name), or in the environment\n"
        "(store.url is HOLDFAST_STORE_URL; lists are separated by commas). Order: flag,\n"
        "environment, file (--config or HOLDFAST_CONFIG), default.\n";
    for (const Setting& setting : table) {
        text += "  " + setting.path + "\n      " + setting.help + "\n";
    }
    return text +
           "\nExit codes: 0 ended as asked, 1 failed, 2 wrong usage or setting, 3 Redis "
           "unreachable\n"
           "(store.fail_fast), 4 cannot listen. SIGTERM drains; a second one ends at once. SIGHUP "
           "reads\n"
           "the store's user, password and certificates anew, also from the file.";
}

std::variant<Flags, Exit> parse_flags(std::vector<std::string> arguments,
                                      const std::vector<Setting>& table) {
    Flags flags;
    CLI::App app{"holdfastd, the Holdfast lock service daemon", "holdfastd"};
    app.set_version_flag("--version",
                         "holdfastd " + std::string{kVersion} + " (" + std::string{kCommit} + ")");
    app.footer(footer(table));
    bool fail_fast = false;
    bool assume_new_store = false;
    std::map<std::string, CLI::Option*> options;
    app.add_option("--config", flags.config, "read settings from this TOML file");
    options["listen.grpc"] = app.add_option(
        "--listen", flags.settings["listen.grpc"], "listen.grpc; may be given several times");
    options["listen.http"] =
        app.add_option("--admin", flags.settings["listen.http"], "listen.http; \"\" for none");
    options["store.url"] = app.add_option("--store", flags.settings["store.url"], "store.url");
    options["log.level"] = app.add_option("--log-level", flags.settings["log.level"], "log.level");
    options["log.format"] =
        app.add_option("--log-format", flags.settings["log.format"], "log.format");
    for (const char* single : {"listen.http", "store.url", "log.level", "log.format"}) {
        options[single]->expected(1);
    }
    options["listen.grpc"]->allow_extra_args(false);
    app.add_flag("--fail-fast", fail_fast, "store.fail_fast");
    app.add_flag("--assume-new-store",
                 assume_new_store,
                 "store.assume_new: an empty Redis is new, and has not lost its locks");
    app.add_flag("--check-config", flags.check, "check the settings and exit");
    app.add_flag("--print-config", flags.print, "print the settings in force as a file, and exit");
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app.parse(arguments);
    } catch (const CLI::ParseError& error) {
        std::ostringstream out;
        std::ostringstream err;
        const bool failed = app.exit(error, out, err) != 0;
        return Exit{failed ? ExitCode::usage : ExitCode::ok, failed ? err.str() : out.str()};
    }
    std::erase_if(flags.settings, [&](const auto& entry) { return entry.second.empty(); });
    if (fail_fast) {
        flags.settings["store.fail_fast"] = {"true"};
    }
    if (assume_new_store) {
        flags.settings["store.assume_new"] = {"true"};
    }
    return flags;
}

}  // namespace

std::variant<Settings, Exit> configure(const std::vector<std::string>& arguments,
                                       const Environment& environment) {
    const std::vector<Setting> table = make_settings_table();
    auto parsed = parse_flags(arguments, table);
    if (auto* exit = std::get_if<Exit>(&parsed)) {
        return std::move(*exit);
    }
    Flags flags = std::get<Flags>(std::move(parsed));
    Settings settings;
    Problems problems;
    if (const auto named = environment.find("HOLDFAST_CONFIG");
        flags.config.empty() && named != environment.end()) {
        flags.config = named->second;
    }
    if (!flags.config.empty()) {
        apply_file(flags.config, table, settings, problems);
    }
    apply_environment(environment, table, settings, problems);
    for (const auto& [path, values] : flags.settings) {
        apply(*find(table, path), "command line", values, settings, problems);
    }
    for (std::string& problem : check_together(settings)) {
        problems.push_back(std::move(problem));
    }
    if (!problems.empty()) {
        std::string text;
        for (const std::string& problem : problems) {
            text += "holdfastd: " + problem + "\n";
        }
        return Exit{ExitCode::usage, text};
    }
    if (flags.print) {
        return Exit{ExitCode::ok, print_config(settings)};
    }
    if (flags.check) {
        return Exit{ExitCode::ok, "the configuration is valid\n"};
    }
    return settings;
}

Environment holdfast_environment() {
    Environment found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const auto equals = text.find('=');
        if (text.starts_with("HOLDFAST_") && equals != std::string_view::npos) {
            found.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return found;
}

std::string print_config(const Settings& settings) {
    std::string text;
    std::string section;
    for (const Setting& setting : make_settings_table()) {
        const auto dot = setting.path.find('.');
        if (setting.path.substr(0, dot) != section) {
            section = setting.path.substr(0, dot);
            text += (text.empty() ? "[" : "\n[") + section + "]\n";
        }
        text += "# " + setting.help + "\n";
        text += setting.path.substr(dot + 1) + " = " + setting.print(settings) + "\n";
    }
    return text;
}

}  // namespace holdfast::daemon
