// holdfast run NAME -- CMD...: runs a command under a lock.
//
// The command is dead before the lease may be another's, whatever happens to us, the daemon or the
// network: the guard (guard.hpp) sees to that by the clock alone. Here the lock is taken, renewed,
// and released.
//
// With D the instant until which the lease may be believed:
//   renew    a third of the ttl after the last grant or renewal was sent; again after kRetry, as
//            long as it fails
//   SIGTERM  a quarter of the ttl before D
//   SIGKILL  a tenth of the ttl before D, at least 100 ms
//
// Renew says that the lease is lost: SIGTERM at once. It fails for any other reason: D stays, and
// the guard's clock runs. An answer that comes late counts from its send, so it can only be early.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/guard.hpp"
#include "cli/new_request.hpp"
#include "cli/text.hpp"

#include <algorithm>
#include <csignal>
#include <ostream>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kUsualTtl{10'000};
constexpr milliseconds kRetry{100};
constexpr milliseconds kLeastKillMargin{100};
constexpr milliseconds kLongestRenew{1000};  // a command that ends meanwhile is noticed after it

struct Options {
    RequestOptions request;
    std::vector<std::string> command;
};

class Run {
public:
    Run(const Options& options, Context& context)
        : context_(context),
          guard_(options.command, options.request.name),
          ttl_(parse_duration(options.request.ttl).value_or(kUsualTtl)),
          request_(new_request(options.request)) {
        request_.set_ttl_ms(static_cast<std::uint64_t>(ttl_.count()));
    }

    ExitCode run();

private:
    EndBy end_by() const;
    bool renew();
    Guard::Ended hold();
    ExitCode finish(const Guard::Ended& ended);
    Client client(milliseconds timeout) const { return Client{context_.server, timeout}; }
    ExitCode say(ExitCode code, const std::string& what);

    Context& context_;
    Guard guard_;  // first: it forks, and gRPC has threads
    milliseconds ttl_;
    v1::AcquireRequest request_;
    Held held_;
    bool lost_ = false;
};

ExitCode Run::say(ExitCode code, const std::string& what) {
    context_.err << "holdfast: " << what << '\n';
    return code;
}

EndBy Run::end_by() const {
    return {held_.believe_until - ttl_ / 4,
            held_.believe_until - std::max(ttl_ / 10, kLeastKillMargin)};
}

// True if it was renewed; sets lost_ if it never will be.
bool Run::renew() {
    const auto renewed =
        client(std::clamp(ttl_ / 6, kRetry, kLongestRenew)).renew(held_.lease.lease_id(), ttl_);
    if (renewed) {
        held_ = *renewed;
    } else if (renewed.error().code == ExitCode::lost ||
               renewed.error().code == ExitCode::not_found) {
        lost_ = true;
    }
    return renewed.has_value();
}

// Renews until the command has ended.
Guard::Ended Run::hold() {
    BootTime renew_at = held_.believe_until - ttl_ * 2 / 3;
    for (;;) {
        if (const auto ended = guard_.wait(renew_at)) {
            return *ended;
        }
        if (lost_) {
            renew_at = BootTime::max();
        } else if (renew()) {
            guard_.extend(end_by());
            renew_at = held_.believe_until - ttl_ * 2 / 3;
        } else if (lost_) {
            guard_.give_up();
        } else {
            renew_at = boot_now() + kRetry;
        }
    }
}

ExitCode Run::run() {
    const auto usual = kUsualTimeout + milliseconds{request_.wait_ms()};
    auto obtained = client(context_.timeout_or(usual)).acquire(request_);
    if (!obtained) {
        const ExitCode code = context_.fail(obtained.error());
        return code == ExitCode::usage ? code : ExitCode::not_obtained;
    }
    held_ = *std::move(obtained);
    // It came late: too little is left to begin with.
    if (held_.safe_for() < ttl_ / 2 && !renew()) {
        // If this fails, the lock ends by its ttl.
        static_cast<void>(client(kLongestRenew).release(held_.lease.lease_id()));
        return say(ExitCode::not_obtained, "the lock was granted too late to be of use");
    }
    guard_.begin(held_.lease.fencing_token(), end_by());
    return finish(hold());
}

ExitCode Run::finish(const Guard::Ended& ended) {
    if (lost_ || !ended.in_time) {
        const std::string why = !ended.seen ? "its guard was killed"
                                : lost_     ? "it is another's now, or the store forgot it"
                                            : "it could not be renewed in time";
        say(ExitCode::lost, "the lock was lost, and the command was ended: " + why);
    }
    // Not while something of the command may still be dying: then it ends by its ttl.
    const auto released =
        lost_ || !ended.seen
            ? tl::unexpected(Failure{})
            : client(ended.in_time ? kUsualTimeout : kLongestRenew).release(held_.lease.lease_id());
    if (lost_ || !ended.in_time) {
        return ExitCode::lost;
    }
    if (!released) {
        // The command ended while the lease was good, so its work is sound.
        say(ExitCode::ok,
            "the lock was not released and ends by its ttl: " + released.error().message);
    } else if (released->verdict() == v1::VERDICT_SUPERSEDED) {
        return say(ExitCode::lost, "another was granted the lock before the command ended");
    }
    return static_cast<ExitCode>(ended.code);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("run", "run a command under a lock");
    verb->footer(
        "The command gets HOLDFAST_LOCK and HOLDFAST_TOKEN in its environment and a process group\n"
        "of its own. The group ends (SIGTERM, then SIGKILL) before the lock may be another's, "
        "also\n"
        "if the daemon cannot be reached any more or this process is killed; and what the command\n"
        "leaves of it when it ends. Not reached are processes that leave the group (setsid), and "
        "those\n"
        "of another user (sudo).\n\n"
        "Exit code: the command's, or 128 + the signal that ended it; 75 the lock was not "
        "obtained;\n"
        "76 the lock was lost; 126, 127 the command cannot be run.\n\n"
        "Example: holdfast run nightly-report --ttl 30s --wait 5m -- ./report.sh --all");
    add_request_options(*verb, options->request);
    verb->add_option("command", options->command, "the command and its arguments, after --")
        ->required();
    verb->callback([options, &context] {
        context.chosen = [options, &context] { return Run{*options, context}.run(); };
    });
}

}  // namespace holdfast::cli
