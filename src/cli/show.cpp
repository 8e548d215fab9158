// holdfast show NAME and holdfast ls [PREFIX]: who holds what.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <ostream>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

boost::json::object json_of(const v1::LockState& lock) {
    boost::json::array holders;
    for (const v1::Holder& holder : lock.holders()) {
        holders.push_back(boost::json::object{{"owner", holder.owner()},
                                              {"metadata", show_text(holder.metadata())},
                                              {"fencing_token", holder.fencing_token()},
                                              {"held_for_ms", holder.held_for_ms()},
                                              {"expires_in_ms", holder.expires_in_ms()}});
    }
    return {{"name", lock.name()},
            {"mode", v1::Mode_Name(lock.mode())},
            {"holders", holders},
            {"newest_token", lock.newest_token()},
            {"waiting", lock.waiting()}};
}

void print(std::ostream& out, const v1::LockState& lock) {
    out << "name:     " << show_text(lock.name()) << '\n';
    for (const v1::Holder& holder : lock.holders()) {
        out << "owner:    " << show_text(holder.owner()) << '\n'
            << "token:    " << holder.fencing_token() << '\n'
            << "held for: " << show_duration(milliseconds{holder.held_for_ms()}) << '\n'
            << "expires:  in " << show_duration(milliseconds{holder.expires_in_ms()})
            << " unless renewed\n";
        if (!holder.metadata().empty()) {
            out << "metadata: " << show_text(holder.metadata()) << '\n';
        }
    }
}

ExitCode show_lock(const std::string& name, Context& context) {
    const auto lock = Client{context.server, context.timeout_or(kUsualTimeout)}.get_lock(name);
    if (!lock) {
        return context.fail(lock.error());
    }
    if (context.json()) {
        context.out << boost::json::serialize(json_of(*lock)) << '\n';
    } else {
        print(context.out, *lock);
    }
    return ExitCode::ok;
}

ExitCode list(const std::string& prefix, Context& context) {
    Client client{context.server, context.timeout_or(kUsualTimeout)};
    boost::json::array json;
    std::vector<std::vector<std::string>> rows{{"NAME", "OWNER", "TOKEN", "HELD", "EXPIRES"}};
    std::string from;
    do {
        const auto page = client.list_locks(prefix, from);
        if (!page) {
            return context.fail(page.error());
        }
        for (const v1::LockState& lock : page->locks()) {
            json.push_back(json_of(lock));
            for (const v1::Holder& holder : lock.holders()) {
                rows.push_back({show_text(lock.name()),
                                show_text(holder.owner()),
                                std::to_string(holder.fencing_token()),
                                show_duration(milliseconds{holder.held_for_ms()}),
                                show_duration(milliseconds{holder.expires_in_ms()})});
            }
        }
        from = page->next_page_token();
    } while (!from.empty());
    context.out << (context.json() ? boost::json::serialize(json) + "\n" : show_table(rows));
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
    CLI::App* verb = app.add_subcommand("ls", "the locks that are held");
    verb->add_option("prefix", *prefix, "only names that begin with this");
    verb->callback([prefix, &context] {
        context.chosen = [prefix, &context] { return list(*prefix, context); };
    });
}

}  // namespace holdfast::cli
