// holdfast run NAME... -- CMD...: runs a command under a lock, or under several.
//
// The command is dead before the lease may be another's, whatever happens to us, the daemon or the
// network: the guard (guard.hpp) sees to that by the clock alone. The lock is taken and kept by a
// keeper: over a stream if it is one (stream_keeper.hpp), by Renew if they are several
// (renew_keeper.hpp). Here the guard is told what the keeper knows, and the lock is released.
//
// With D the instant until which the lease may be believed:
//   SIGTERM  a quarter of the ttl before D
//   SIGKILL  a tenth of the ttl before D, at least 100 ms
//
// The lease is lost: SIGTERM at once, and SIGKILL as above if the daemon has but stopped to renew it; but
// kNoGrace later if another may have the lock already (released elsewhere, taken). It cannot be renewed: D stays, and the guard's clock runs. An
// answer that comes late counts from its send, so it can only be early. Somebody asks for the lock
// (Revoke): SIGTERM at once too, but the command has the lock, and D moves on, until it ends or the
// lease is lost.

#include "cli/client.hpp"
#include "cli/command.hpp"
#include "cli/event_output.hpp"
#include "cli/guard.hpp"
#include "cli/new_request.hpp"
#include "cli/renew_keeper.hpp"
#include "cli/stream_keeper.hpp"
#include "cli/text.hpp"

#include <algorithm>
#include <ostream>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLeastKillMargin{100};

struct Options {
    std::vector<std::string> names;
    RequestOptions request;
    std::vector<std::string> command;
};

class Run {
public:
    Run(const Options& options, Context& context)
        : options_(options), context_(context), guard_(options.command, options.names) {}

    ExitCode run();

private:
    std::unique_ptr<Keeper> new_keeper() const;
    std::optional<Failure> obtain();
    EndBy end_by() const;
    void on_told(const Told& told);
    void on_event(const v1::LeaseEvent& event);
    Guard::Ended hold();
    ExitCode finish(const Guard::Ended& ended);
    Outcome<v1::ReleaseResponse> release(milliseconds timeout) const;
    ExitCode say(ExitCode code, const std::string& what);

    const Options& options_;
    Context& context_;
    Guard guard_;  // first: it forks, and gRPC has threads
    std::unique_ptr<Keeper> keeper_;
    BootTime told_until_{};  // the deadline that the guard's times were made of
    std::string lost_;       // why; empty: it is not
};

ExitCode Run::say(ExitCode code, const std::string& what) {
    context_.err << "holdfast: " << what << '\n';
    return code;
}

std::unique_ptr<Keeper> Run::new_keeper() const {
    const auto usual = kUsualTimeout + milliseconds{milliseconds_of(options_.request.wait)};
    const auto within = context_.timeout_or(usual);
    if (options_.names.size() == 1) {
        return std::make_unique<StreamKeeper>(context_.server,
                                              new_request(options_.names.front(), options_.request),
                                              boot_now() + within);
    }
    return std::make_unique<RenewKeeper>(
        context_.server, new_request(options_.names, options_.request), within);
}

// Until the lock is held, or why it is not.
std::optional<Failure> Run::obtain() {
    for (;; keeper_->wait()) {
        while (const auto told = keeper_->turn()) {
            if (told->kind == Told::Kind::granted) {
                return {};
            }
            if (told->kind == Told::Kind::over) {
                return told->failure.value_or(Failure{});
            }
        }
    }
}

EndBy Run::end_by() const {
    const BootTime until = keeper_->believe_until();
    const milliseconds ttl = keeper_->ttl();
    return {until - ttl / 4, until - std::max(ttl / 10, kLeastKillMargin)};
}

void Run::on_event(const v1::LeaseEvent& event) {
    if (event.has_at_risk()) {
        say(ExitCode::ok, "the lock is at risk: " + show_text(event.at_risk().why()));
    } else if (event.has_recovered()) {
        say(ExitCode::ok, "the lock was renewed again");
    } else if (event.has_revoke_requested()) {
        const v1::RevokeRequested& asked = event.revoke_requested();
        guard_.ask_to_end();
        say(ExitCode::ok,
            "the lock is to be given up within " +
                show_duration(milliseconds{asked.deadline_in_ms()}) + " (" +
                show_text(asked.reason()) + "): the command is asked to end");
    }
}

void Run::on_told(const Told& told) {
    switch (told.kind) {
        case Told::Kind::event:
            on_event(told.event);
            break;
        case Told::Kind::broke:
            say(ExitCode::ok, "disconnected; trying again: " + show_text(told.failure->message));
            break;
        case Told::Kind::over:
            lost_ = told.event.has_lost() ? describe(told.event.lost().cause())
                    : told.failure        ? show_text(told.failure->message)
                                          : "its lease was released elsewhere";
            guard_.give_up(may_be_anothers(told) ? Guard::kNoGrace : Guard::kGrace);
            break;
        case Told::Kind::granted:
        case Told::Kind::resumed:
            break;
    }
}

// Until the command has ended.
Guard::Ended Run::hold() {
    for (;;) {
        while (const auto told = keeper_->turn()) {
            on_told(*told);
        }
        if (lost_.empty() && keeper_->believe_until() != told_until_) {
            told_until_ = keeper_->believe_until();
            guard_.extend(end_by());
        }
        if (const auto ended = guard_.wait(keeper_->turn_at(), keeper_->fd())) {
            return *ended;
        }
    }
}

Outcome<v1::ReleaseResponse> Run::release(milliseconds timeout) const {
    return Client{context_.server, timeout}.release(keeper_->lease_id());
}

ExitCode Run::run() {
    keeper_ = new_keeper();
    if (const auto failure = obtain()) {
        const ExitCode code = context_.fail(*failure);
        return code == ExitCode::usage ? code : ExitCode::not_obtained;
    }
    if (keeper_->safe_for() < keeper_->ttl() / 2) {
        // If this fails, the lock ends by its ttl.
        static_cast<void>(release(Keeper::kLongestCall));
        return say(ExitCode::not_obtained, "the lock was granted too late to be of use");
    }
    told_until_ = keeper_->believe_until();
    guard_.begin(keeper_->tokens(), end_by());
    return finish(hold());
}

ExitCode Run::finish(const Guard::Ended& ended) {
    const bool lost = !lost_.empty() || !ended.in_time;
    if (lost) {
        say(ExitCode::lost,
            "the lock was lost, and the command was ended: " +
                (!ended.seen      ? "its guard was killed"
                 : !lost_.empty() ? lost_
                                  : "it could not be renewed in time"));
    }
    // Not while something of the command may still be dying: then it ends by its ttl.
    const auto released = !lost_.empty() || !ended.seen
                              ? tl::unexpected(Failure{})
                              : release(ended.in_time ? kUsualTimeout : Keeper::kLongestCall);
    if (lost) {
        return ExitCode::lost;
    }
    if (!released) {
        // The command ended while the lease was good, so its work is sound.
        say(ExitCode::ok,
            "the lock was not released and ends by its ttl: " +
                show_text(released.error().message));
    } else if (released->verdict() == v1::VERDICT_SUPERSEDED) {
        return say(ExitCode::lost, "another was granted the lock before the command ended");
    }
    return static_cast<ExitCode>(ended.code);
}

void check(const Options& options) {
    if (options.command.empty()) {
        throw CLI::RequiredError{"a command after --"};
    }
    if (options.names.size() > Guard::kMostLocks) {
        throw CLI::ValidationError{"name", "there are more than 64 locks"};
    }
    if (options.names.size() > 1 && !options.request.permit.empty()) {
        throw CLI::ValidationError{"--permit", "it is for one lock"};
    }
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("run", "run a command (after --) under a lock, or several");
    verb->footer(
        "The command gets HOLDFAST_LOCK and HOLDFAST_TOKEN in its environment (of the first "
        "lock),\n"
        "HOLDFAST_LOCKS (all names, one a line) and HOLDFAST_TOKENS (in the same order, with "
        "spaces\n"
        "between), and a process group of its own. The group ends (SIGTERM, then SIGKILL) before "
        "a\n"
        "lock may be another's, also if the daemon cannot be reached any more or this process is\n"
        "killed; and what the command leaves of it when it ends. If somebody asks for the lock\n"
        "(holdfast revoke), the command gets SIGTERM. If a lock may be another's already (its "
        "lease was\n"
        "released elsewhere, or the store has given it away), SIGKILL follows SIGTERM within "
        "100ms.\n"
        "Not reached are processes that leave the group (setsid), and those of another user "
        "(sudo).\n\n"
        "Several locks are taken all or none; for them it is not told when one is asked for.\n\n"
        "Exit code: the command's, or 128 + the signal that ended it; 75 the lock was not "
        "obtained;\n"
        "76 the lock was lost; 126, 127 the command cannot be run.\n\n"
        "Examples:\n"
        "  holdfast run nightly-report --ttl 30s --wait 5m -- ./report.sh --all\n"
        "  holdfast run crawler --permit 1/4 -- ./crawl.sh\n"
        "  holdfast run accounts/1 accounts/2 -- ./transfer.sh");
    verb->add_option("name", options->names, "the lock's name, or several")->required();
    add_request_options(*verb, options->request);
    verb->callback([options, &context] {
        options->command = context.command;
        check(*options);
        context.chosen = [options, &context] { return Run{*options, context}.run(); };
    });
}

}  // namespace holdfast::cli
