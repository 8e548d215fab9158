// holdfast release LEASE_ID: gives a lease back and says whether exclusion held.

#include "cli/client.hpp"
#include "cli/command.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <istream>
#include <ostream>

namespace holdfast::cli {
namespace {

struct Verdict {
    const char* text;
    ExitCode code;
};

Verdict describe(v1::Verdict verdict) {
    switch (verdict) {
        case v1::VERDICT_HELD_THROUGHOUT:
            return {"released; the lock was held throughout", ExitCode::ok};
        case v1::VERDICT_ALREADY_EXPIRED:
            return {"the lease had expired; nobody has taken the lock since",
                    ExitCode::already_expired};
        case v1::VERDICT_SUPERSEDED:
            return {"the lease was lost: the lock has been granted again since",
                    ExitCode::superseded};
        default:
            return {"the daemon gave a verdict that this program does not know", ExitCode::failed};
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
    const Verdict verdict = describe(response->verdict());
    if (context.json()) {
        context.out << boost::json::serialize(
                           boost::json::object{{"verdict", v1::Verdict_Name(response->verdict())},
                                               {"newer_token", response->newer_token()}})
                    << '\n';
    } else {
        context.out << verdict.text << '\n';
    }
    return verdict.code;
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
