#include "cli/guard.hpp"

#include "cli/guard_process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr std::array kForwarded{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// Of the guard that signals are forwarded to; -1: none.
std::atomic<int> forward_to{-1};
static_assert(std::atomic<int>::is_always_lock_free);

// A signal handler: only what signal-safety(7) allows.
void forward(int number) {
    GuardOrder order;
    order.kind = GuardOrder::signal;
    order.signal_number = number;
    const int saved = errno;
    send(forward_to.load(), &order, sizeof(order), MSG_NOSIGNAL | MSG_DONTWAIT);
    errno = saved;
}

void set_handlers(void (*handler)(int)) {
    for (const int number : kForwarded) {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART;
        sigaction(number, &action, nullptr);
    }
}

std::system_error last_error(const char* what) {
    return {errno, std::generic_category(), what};
}

// A guard that is gone is noticed by wait().
void tell(int socket, const GuardOrder& order) {
    while (send(socket, &order, sizeof(order), MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

}  // namespace

Guard::Guard(const std::vector<std::string>& command, const std::vector<std::string>& locks) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw last_error("socketpair");
    }
    pid_ = fork();
    if (pid_ < 0) {
        const auto error = last_error("fork");
        close(ends[0]);
        close(ends[1]);
        throw error;
    }
    if (pid_ == 0) {
        close(ends[0]);
        be_guard(ends[1], command, locks);
    }
    close(ends[1]);
    socket_ = ends[0];
}

Guard::~Guard() {
    set_handlers(SIG_DFL);
    forward_to = -1;
    close(socket_);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void Guard::begin(const std::vector<std::uint64_t>& tokens, EndBy end_by) {
    forward_to = socket_;
    set_handlers(forward);
    GuardOrder order;
    order.kind = GuardOrder::begin;
    std::copy_n(tokens.begin(), std::min(tokens.size(), kMostLocks), order.tokens.begin());
    order.end_by = end_by;
    tell(socket_, order);
}

void Guard::extend(EndBy end_by) {
    GuardOrder order;
    order.kind = GuardOrder::extend;
    order.end_by = end_by;
    tell(socket_, order);
}

void Guard::ask_to_end() {
    GuardOrder order;
    order.kind = GuardOrder::signal;
    for (const int number : {SIGTERM, SIGCONT}) {
        order.signal_number = number;
        tell(socket_, order);
    }
}

void Guard::give_up(std::chrono::milliseconds grace) {
    GuardOrder order;
    order.grace = grace;
    order.kind = GuardOrder::give_up;
    tell(socket_, order);
}

std::optional<Guard::Ended> Guard::wait(BootTime until, int wake) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - boot_now());
        std::array<pollfd, 2> watched{{{socket_, POLLIN, 0}, {wake, POLLIN, 0}}};
        const int most = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
        const int ready = poll(watched.data(), watched.size(), most);
        if (ready < 0 && errno != EINTR) {
            throw last_error("poll");
        }
        if (ready <= 0 || watched[0].revents == 0) {
            if (boot_now() >= until || ready > 0) {
                return {};
            }
            continue;
        }
        GuardReport report;
        const ssize_t got = recv(socket_, &report, sizeof(report), 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != static_cast<ssize_t>(sizeof(report))) {
            // The guard was killed, and the kernel has killed the command.
            if (group_ > 0) {
                kill(-group_, SIGKILL);
            }
            return Ended{128 + SIGKILL, false, false};
        }
        if (report.kind == GuardReport::ended) {
            return report.outcome;
        }
        group_ = report.group;
    }
}

}  // namespace holdfast::cli
