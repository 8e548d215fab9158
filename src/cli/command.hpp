#pragma once

// What every verb is given, and how it is registered: a verb adds its subcommand with its options,
// and a callback that does the work. One file and one line in app.cpp for each.

#include "cli/exit_code.hpp"
#include "cli/failure.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

struct Context {
    std::string server;
    std::string output = "text";
    std::string timeout;
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    std::function<ExitCode()> chosen;  // what the verb on the command line does
    std::vector<std::string> command;  // run: what comes after --

    bool json() const { return output == "json"; }
    // What the call may take: --timeout, or `usual`.
    std::chrono::milliseconds timeout_or(std::chrono::milliseconds usual) const;
    // Writes the failure where it belongs.
    ExitCode fail(const Failure& failure);
};

inline constexpr std::chrono::milliseconds kUsualTimeout{10'000};

// An option that is a duration; its text is checked when the line is parsed.
CLI::Option* add_duration(CLI::App& app,
                          const std::string& name,
                          std::string& text,
                          const std::string& help);

void add_acquire(CLI::App& app, Context& context);
void add_release(CLI::App& app, Context& context);
void add_renew(CLI::App& app, Context& context);
void add_show(CLI::App& app, Context& context);
void add_ls(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_health(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_hold(CLI::App& app, Context& context);
void add_watch(CLI::App& app, Context& context);
void add_revoke(CLI::App& app, Context& context);
void add_force_release(CLI::App& app, Context& context);
void add_explain(CLI::App& app, Context& context);
void add_sessions(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_drain(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

}  // namespace holdfast::cli
