// holdfast show NAME and holdfast ls [PREFIX]: who holds what.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/lock_output.hpp"
#include "cli/text.hpp"

#include <boost/json/array.hpp>

#include <ostream>

namespace holdfast::cli {
namespace {

ExitCode show_lock(const std::string& name, Context& context) {
    const auto lock = Client{context.server, context.timeout_or(kUsualTimeout)}.get_lock(name);
    if (!lock) {
        return context.fail(lock.error());
    }
    context.out << (context.json() ? json_line(json_of(*lock)) : show(*lock));
    return ExitCode::ok;
}

ExitCode list(const std::string& prefix, Context& context) {
    Client client{context.server, context.timeout_or(kUsualTimeout)};
    boost::json::array json;
    std::vector<std::vector<std::string>> rows{lock_heading()};
    std::string from;
    do {
        const auto page = client.list_locks(prefix, from);
        if (!page) {
            return context.fail(page.error());
        }
        for (const v1::LockState& lock : page->locks()) {
            json.push_back(json_of(lock));
            add_rows(lock, rows);
        }
        from = page->next_page_token();
    } while (!from.empty());
    context.out << (context.json() ? json_line(json) : show_table(rows));
    return ExitCode::ok;
}

}  // namespace

void add_show(CLI::App& app, Context& context) {
    auto name = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("show", "who holds a lock");
    verb->add_option("name", *name, "the lock's name")->required();
    verb->callback([name, &context] {
        context.chosen = [name, &context] { return show_lock(*name, context); };
    });
}

void add_ls(CLI::App& app, Context& context) {
    auto prefix = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("ls", "the locks that are held, a line for each holder");
    verb->add_option("prefix", *prefix, "only names that begin with this");
    verb->callback([prefix, &context] {
        context.chosen = [prefix, &context] { return list(*prefix, context); };
    });
}

}  // namespace holdfast::cli
