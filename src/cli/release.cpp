// holdfast release LEASE_ID: gives a lease back and says whether exclusion held.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/event_output.hpp"
#include "cli/json.hpp"

#include <boost/json/object.hpp>

#include <istream>
#include <ostream>

namespace holdfast::cli {
namespace {

ExitCode code_of(v1::Verdict verdict) {
    switch (verdict) {
        case v1::VERDICT_HELD_THROUGHOUT:
            return ExitCode::ok;
        case v1::VERDICT_ALREADY_EXPIRED:
            return ExitCode::already_expired;
        case v1::VERDICT_SUPERSEDED:
            return ExitCode::superseded;
        default:
            return ExitCode::failed;
    }
}

ExitCode release(std::string lease_id, Context& context) {
    if (lease_id == "-") {
        std::getline(context.in, lease_id);
    }
    const auto response =
        Client{context.server, context.timeout_or(kUsualTimeout)}.release(lease_id);
    if (!response) {
        return context.fail(response.error());
    }
    if (context.json()) {
        context.out << json_line(
            boost::json::object{{"verdict", v1::Verdict_Name(response->verdict())},
                                {"newer_token", response->newer_token()}});
    } else {
        context.out << (response->verdict() == v1::VERDICT_HELD_THROUGHOUT ? "released; " : "")
                    << describe(response->verdict()) << '\n';
    }
    return code_of(response->verdict());
}

}  // namespace

void add_release(CLI::App& app, Context& context) {
    auto lease_id = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("release", "give a lease back");
    verb->add_option("lease_id", *lease_id, "the lease id, or - to read it from standard input")
        ->required();
    verb->callback([lease_id, &context] {
        context.chosen = [lease_id, &context] { return release(*lease_id, context); };
    });
}

}  // namespace holdfast::cli
