// holdfastd: settings in, a running daemon, out on a signal; SIGHUP reads credentials anew.

#include "daemon/config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/embedded_redis.hpp"
#include "holdfast/version.hpp"

#include <absl/strings/str_replace.h>
#include <absl/strings/strip.h>

#include <csignal>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <thread>
#include <unistd.h>
#include <variant>

namespace {

using namespace holdfast;
using daemon::ExitCode;

int exit_with(ExitCode code, const std::string& why) {
    std::cerr << "holdfastd: " << why << '\n';
    return static_cast<int>(code);
}

// AdminService.Drain. A signal of its own: a second SIGTERM ends at once, this never does.
constexpr int kDrainAsked = SIGUSR1;

const char* name_of(int signal) {
    return signal == SIGTERM  ? "SIGTERM"
           : signal == SIGINT ? "SIGINT"
           : signal == SIGHUP ? "SIGHUP"
                              : "Drain";
}

// Signals are taken by sigwait, so every thread blocks them. To be called before there are threads.
sigset_t block_signals() {
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of its write, not the end
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, kDrainAsked);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
}

int wait_for(const sigset_t& signals) {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    return signal;
}

// What a person who has just started it wants to see.
void greet(const daemon::Daemon& holdfastd, const std::string& store) {
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    std::cout << "holdfastd " << kVersion << " serves on";
    const auto addresses = holdfastd.addresses();
    for (const std::string& address : addresses) {
        std::cout << ' ' << address;
    }
    if (!holdfastd.http_address().empty()) {
        std::cout << "; http://" << holdfastd.http_address() << "/readyz, /livez, /metrics";
    }
    std::cout << "\nstore: " << store << "\n\nTake a lock in another shell:\n\n  "
              << (program / "holdfast").string();
    if (addresses.front() != "127.0.0.1:7420") {
        std::cout << " --server " << addresses.front();
    }
    std::cout << " acquire demo --ttl 30s\n\n" << std::flush;
}

// The settings as they are now in the file; the command line and the environment are still the same.
using Configure = std::function<std::variant<daemon::Settings, daemon::Exit>()>;

// SIGHUP. Whatever is wrong, the daemon goes on as it was.
void reload(daemon::Daemon& holdfastd, const Configure& configure, spdlog::logger& logger) {
    auto configured = configure();
    if (const auto* wrong = std::get_if<daemon::Exit>(&configured)) {
        logger.error("reload: {}; nothing has changed",
                     absl::StrReplaceAll(absl::StripSuffix(wrong->text, "\n"), {{"\n", "; "}}));
        return;
    }
    const auto& settings = std::get<daemon::Settings>(configured);
    if (settings.store.url.empty()) {
        logger.error("reload: store.url is not set any more; nothing has changed");
        return;
    }
    holdfastd.reload(settings);
}

// The first signal that ends the daemon; SIGHUP does not.
int serve(daemon::Daemon& holdfastd,
          const sigset_t& signals,
          const Configure& configure,
          spdlog::logger& logger) {
    for (;;) {
        const int signal = wait_for(signals);
        if (signal != SIGHUP) {
            return signal;
        }
        reload(holdfastd, configure, logger);
    }
}

int run(const daemon::Settings& settings, const Configure& configure) {
    sigset_t signals = block_signals();
    daemon::Settings used = settings;
    std::optional<daemon::EmbeddedRedis> embedded;
    if (used.store.url.empty()) {
        embedded.emplace();
        used.store.url = embedded->url();
        used.store.assume_new = true;
    }
    redis::Settings store;
    try {
        store = daemon::store_settings(used);
    } catch (const std::exception& error) {
        return exit_with(ExitCode::usage, error.what());
    }
    const auto logger = daemon::make_logger(used.log.level, used.log.format);
    daemon::Daemon holdfastd{used, store, logger, [] { kill(getpid(), kDrainAsked); }};
    holdfastd.start();
    using Level = daemon::Condition::Level;
    const daemon::Condition found = holdfastd.readiness().wait(used.store.connect_timeout * 2);
    if (found.level == Level::misconfigured) {
        return exit_with(ExitCode::usage, found.why);
    }
    if (found.level == Level::down) {
        if (used.store.fail_fast) {
            return exit_with(ExitCode::store_unreachable,
                             "cannot reach the store at " + store.address() + ": " + found.why);
        }
        logger->warn("waiting for the store at {}: {}", store.address(), found.why);
    }
    greet(holdfastd,
          embedded ? "embedded, gone when this daemon ends; not for production" : store.address());

    // An embedded store has nothing to reload: SIGHUP is a terminal that has been closed.
    const int first = embedded ? wait_for(signals) : serve(holdfastd, signals, configure, *logger);
    logger->info("{}: draining; SIGTERM {}ends at once from here on",
                 name_of(first),
                 first == kDrainAsked ? "twice " : "");
    sigdelset(&signals, kDrainAsked);
    sigdelset(&signals, SIGHUP);
    std::thread{[signals, first] {
        if (first == kDrainAsked) {
            wait_for(signals);  // of the supervisor, who did not ask for the drain
        }
        _exit(128 + wait_for(signals));
    }}.detach();
    holdfastd.stop();
    logger->info("drained");
    logger->flush();
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const Configure configure = [argc, argv] {
            return daemon::configure({argv + 1, argv + argc}, daemon::holdfast_environment());
        };
        auto configured = configure();
        if (const auto* exit = std::get_if<daemon::Exit>(&configured)) {
            (exit->code == ExitCode::ok ? std::cout : std::cerr) << exit->text;
            return static_cast<int>(exit->code);
        }
        return run(std::get<daemon::Settings>(configured), configure);
    } catch (const rpc::CannotListen& error) {
        return exit_with(ExitCode::cannot_listen, error.what());
    } catch (const admin::CannotListen& error) {
        return exit_with(ExitCode::cannot_listen, error.what());
    } catch (const std::exception& error) {
        return exit_with(ExitCode::failed, error.what());
    }
}
