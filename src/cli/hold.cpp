// holdfast hold NAME: takes a lock, keeps it, and prints what happens to it, until it is told to stop.
//
// Everything is decided by the keeper (stream_keeper.hpp); here its events are printed, and a signal
// releases the lock. Signals are blocked and read from a descriptor, so that none is missed between two
// looks.

#include "cli/command.hpp"
#include "cli/event_output.hpp"
#include "cli/new_request.hpp"
#include "cli/stream_keeper.hpp"
#include "cli/text.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <ostream>
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kUsualGraceMs = 30'000;
constexpr char kKeep[] = "keep";
constexpr char kGrace[] = "grace";
constexpr char kRelease[] = "release";

struct Options {
    std::string name;
    RequestOptions request;
    std::string on_disconnect = kKeep;
    std::string grace;
};

v1::AcquireRequest request_of(const Options& options) {
    v1::AcquireRequest request = new_request(options.name, options.request);
    if (options.on_disconnect == kGrace) {
        request.set_on_disconnect(v1::ON_DISCONNECT_GRACE);
        request.set_grace_ms(options.grace.empty() ? kUsualGraceMs
                                                   : milliseconds_of(options.grace));
    } else if (options.on_disconnect == kRelease) {
        request.set_on_disconnect(v1::ON_DISCONNECT_RELEASE_NOW);
    }
    return request;
}

// SIGINT, SIGTERM and SIGHUP, from here on readable instead of deadly. To be made before there are
// threads.
class Signals {
public:
    Signals() {
        sigset_t set;
        sigemptyset(&set);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
            sigaddset(&set, number);
        }
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd_ < 0) {
            throw std::system_error{errno, std::generic_category(), "signalfd"};
        }
    }
    ~Signals() { close(fd_); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    // Until one comes (true), `other` is readable or `until` has come.
    bool wait(int other, BootTime until) const {
        const auto left = std::chrono::ceil<milliseconds>(until - boot_now());
        std::array<pollfd, 2> watched{{{fd_, POLLIN, 0}, {other, POLLIN, 0}}};
        poll(watched.data(),
             watched.size(),
             static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000)));
        return watched[0].revents != 0;
    }

private:
    int fd_ = -1;
};

class Hold {
public:
    Hold(const Options& options, Context& context)
        : context_(context), request_(request_of(options)) {}

    ExitCode run();

private:
    std::optional<ExitCode> take_what_came();
    void print(const Told& told);
    ExitCode finish(const Told& over);
    ExitCode interrupted();

    Context& context_;
    const Signals signals_;  // first: gRPC has threads
    const v1::AcquireRequest request_;
    std::unique_ptr<StreamKeeper> keeper_;
    bool granted_ = false;
};

ExitCode Hold::run() {
    const auto usual = kUsualTimeout + milliseconds{request_.wait_ms()};
    keeper_ = std::make_unique<StreamKeeper>(
        context_.server, request_, boot_now() + context_.timeout_or(usual));
    do {
        if (const auto code = take_what_came()) {
            return *code;
        }
    } while (!signals_.wait(keeper_->fd(), keeper_->turn_at()));
    return interrupted();
}

// How to exit, if it is over.
std::optional<ExitCode> Hold::take_what_came() {
    while (const auto told = keeper_->turn()) {
        print(*told);
        granted_ = granted_ || told->kind == Told::Kind::granted;
        if (told->kind == Told::Kind::over) {
            return finish(*told);
        }
    }
    return {};
}

void Hold::print(const Told& told) {
    const auto safe_for = keeper_->safe_for();
    context_.out << (context_.json() ? to_json(told, safe_for) : show(told, safe_for))
                 << std::flush;
}

ExitCode Hold::finish(const Told& over) {
    if (!over.failure) {
        return over.event.released().verdict() == v1::VERDICT_HELD_THROUGHOUT ? ExitCode::ok
                                                                              : ExitCode::lost;
    }
    return granted_ ? over.failure->code : context_.fail(*over.failure);
}

ExitCode Hold::interrupted() {
    // A grant may have come together with the signal: then there is a lock to release.
    if (const auto code = take_what_came()) {
        return *code;
    }
    if (!granted_) {
        keeper_.reset();
        context_.err << "holdfast: interrupted: the wait for the lock was cancelled (if it was "
                        "granted in that moment, it ends by its ttl)\n";
        return ExitCode::not_obtained;
    }
    const auto released = Client{context_.server, kUsualTimeout}.release(keeper_->lease_id());
    if (!released) {
        context_.err << "holdfast: the lock was not released and ends by its ttl\n";
        return context_.fail(released.error());
    }
    Told told{Told::Kind::over, {}, {}};
    told.event.mutable_released()->set_verdict(released->verdict());
    told.event.mutable_released()->set_newer_token(released->newer_token());
    print(told);
    return finish(told);
}

}  // namespace

void add_hold(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("hold", "take a lock, keep it, print what happens to it");
    verb->footer(
        "Prints a line for each event: queued, granted (with the lease id), renewed, at risk,\n"
        "recovered, revoke requested, moving, disconnected, resumed, lost, released. SIGINT and\n"
        "SIGTERM release the lock.\n\n"
        "Exit code: 0 it was released, by a signal here or with its lease id elsewhere; 75 it was\n"
        "not obtained; 76 it was lost: stop using it; 69 the daemon cannot be reached.\n\n"
        "Examples:\n"
        "  holdfast hold nightly-report --wait 5m\n"
        "  holdfast -o json hold cache --shared --on-disconnect grace --grace 30s");
    verb->add_option("name", options->name, "the lock's name")->required();
    add_request_options(*verb, options->request);
    verb->add_option(
            "--on-disconnect",
            options->on_disconnect,
            "when this program or its connection dies: keep it for its ttl, or for --grace "
            "more, or release it at once (then a broken connection loses it)")
        ->check(CLI::IsMember({kKeep, kGrace, kRelease}))
        ->capture_default_str();
    add_duration(*verb, "--grace", options->grace, "with --on-disconnect grace: 1ms to 10m; 30s");
    verb->callback([options, &context] {
        if (!options->grace.empty() && options->on_disconnect != kGrace) {
            throw CLI::ValidationError{"--grace", "it is for --on-disconnect grace"};
        }
        context.chosen = [options, &context] { return Hold{*options, context}.run(); };
    });
}

}  // namespace holdfast::cli
