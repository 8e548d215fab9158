#include "cli/guard_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr int kCannotRun = 126;  // as shells have it
constexpr int kNotFound = 127;

int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class GuardProcess {
public:
    GuardProcess(int socket,
                 const std::vector<std::string>& command,
                 const std::vector<std::string>& locks)
        : socket_(socket), command_(command), locks_(locks) {}

    void run();

private:
    enum class State { waiting, running, ending, sweeping, gone };

    void prepare();
    void read_order();
    void on_order(const GuardOrder& order);
    void begin(const GuardOrder& order);
    [[noreturn]] void be_command(const GuardOrder& order);
    void set_environment(const GuardOrder& order) const;
    void take_terminal(pid_t group) const;
    void reap();
    void on_time();
    void ask_to_end();
    void sweep();
    void finish();
    void arm();
    void signal_group(int number) const { kill(-group_, number); }

    int socket_;
    const std::vector<std::string>& command_;
    const std::vector<std::string>& locks_;
    sigset_t original_signals_{};
    int signals_ = -1;
    int timer_ = -1;
    pid_t guard_ = getpid();
    pid_t terminal_group_ = -1;  // who had the terminal before
    State state_ = State::waiting;
    pid_t group_ = -1;
    EndBy end_by_;
    BootTime kill_at_{};  // while ending or sweeping
    Guard::Ended outcome_;
};

// Nothing but SIGKILL ends the guard: whoever signals us by name or group must not leave the command
// without it. And by a name of its own, it outlives a SIGKILL to all that are called holdfast.
void GuardProcess::prepare() {
    setpgid(0, 0);
    prctl(PR_SET_NAME, "hf-guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphans of the group come to us
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &original_signals_);
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    signals_ = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (signals_ < 0 || timer_ < 0) {
        std::perror("holdfast: cannot watch over the command");
        _exit(1);
    }
}

void GuardProcess::run() {
    if (isatty(STDIN_FILENO) != 0 && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
        terminal_group_ = getpgrp();
    }
    prepare();
    while (state_ != State::gone) {
        arm();
        std::array<pollfd, 3> watched{
            {{socket_, POLLIN, 0}, {signals_, POLLIN, 0}, {timer_, POLLIN, 0}}};
        if (poll(watched.data(), watched.size(), -1) < 0) {
            continue;
        }
        if (watched[1].revents != 0) {
            signalfd_siginfo info{};
            while (read(signals_, &info, sizeof(info)) > 0) {
            }
            reap();
        }
        if (watched[2].revents != 0) {
            std::uint64_t times = 0;
            while (read(timer_, &times, sizeof(times)) < 0 && errno == EINTR) {
            }
            on_time();
        }
        if (watched[0].revents != 0) {
            read_order();
        }
    }
}

void GuardProcess::read_order() {
    GuardOrder order;
    const ssize_t got = recv(socket_, &order, sizeof(order), 0);
    if (got == static_cast<ssize_t>(sizeof(order))) {
        on_order(order);
    } else if (got == 0 || (got < 0 && errno != EINTR)) {
        // Whom we guard for is gone.
        close(socket_);
        socket_ = -1;  // poll() passes over it
        if (state_ == State::waiting) {
            state_ = State::gone;
        } else {
            ask_to_end();
        }
    }
}

void GuardProcess::on_order(const GuardOrder& order) {
    switch (order.kind) {
        case GuardOrder::begin:
            begin(order);
            break;
        case GuardOrder::extend:
            if (state_ == State::running) {
                end_by_ = order.end_by;
            }
            break;
        case GuardOrder::give_up:
            ask_to_end();
            kill_at_ = std::min<BootTime>(kill_at_, boot_now() + order.grace);
            break;
        case GuardOrder::signal:
            if (group_ > 0) {
                signal_group(order.signal_number);
            }
            break;
    }
}

void GuardProcess::begin(const GuardOrder& order) {
    end_by_ = order.end_by;
    const pid_t child = fork();
    if (child == 0) {
        be_command(order);
    }
    if (child < 0) {
        std::perror("holdfast: cannot fork");
        outcome_ = {kCannotRun, true};
        finish();
        return;
    }
    group_ = child;
    setpgid(child, child);  // here and there: whoever comes first
    take_terminal(child);
    state_ = State::running;
    GuardReport report;
    report.group = group_;
    send(socket_, &report, sizeof(report), MSG_NOSIGNAL);
}

void GuardProcess::be_command(const GuardOrder& order) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard_) {
        _exit(kCannotRun);  // the guard died before the kernel knew
    }
    setpgid(0, 0);
    take_terminal(getpid());
    set_environment(order);
    std::vector<char*> arguments;
    for (const std::string& argument : command_) {
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    sigprocmask(SIG_SETMASK, &original_signals_, nullptr);
    execvp(arguments.front(), arguments.data());
    const int error = errno;
    std::fprintf(stderr, "holdfast: cannot run %s: %s\n", arguments.front(), std::strerror(error));
    _exit(error == ENOENT ? kNotFound : kCannotRun);
}

void GuardProcess::set_environment(const GuardOrder& order) const {
    std::string locks;
    std::string tokens;
    for (std::size_t i = 0; i < std::min(locks_.size(), order.tokens.size()); ++i) {
        locks += (i > 0 ? "\n" : "") + locks_[i];
        tokens += (i > 0 ? " " : "") + std::to_string(order.tokens[i]);
    }
    setenv("HOLDFAST_LOCK", locks_.front().c_str(), 1);
    setenv("HOLDFAST_TOKEN", std::to_string(order.tokens.front()).c_str(), 1);
    setenv("HOLDFAST_LOCKS", locks.c_str(), 1);
    setenv("HOLDFAST_TOKENS", tokens.c_str(), 1);
}

// So that the command can read from the terminal and Ctrl-C reaches it. SIGTTOU is blocked here.
void GuardProcess::take_terminal(pid_t group) const {
    if (terminal_group_ > 0) {
        tcsetpgrp(STDIN_FILENO, group);
    }
}

void GuardProcess::reap() {
    if (group_ < 0) {
        return;
    }
    for (;;) {
        int status = 0;
        const pid_t pid = waitpid(-group_, &status, WNOHANG | WUNTRACED);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid < 0) {
            finish();  // nobody is left
            return;
        }
        if (pid == 0) {
            return;
        }
        if (WIFSTOPPED(status)) {
            // Ctrl-Z: we are no shell, so nobody could continue it. It shall not be forgotten with
            // the lock in its hands.
            if (WSTOPSIG(status) == SIGTSTP) {
                signal_group(SIGCONT);
            }
        } else if (pid == group_) {
            outcome_.code = exit_code(status);
            sweep();
        }
    }
}

void GuardProcess::on_time() {
    const BootTime now = boot_now();
    if (state_ == State::running && now >= end_by_.term_at) {
        ask_to_end();
    }
    if ((state_ == State::ending || state_ == State::sweeping) && now >= kill_at_) {
        signal_group(SIGKILL);
        kill_at_ = now + std::chrono::milliseconds{50};  // in case one was forked in that moment
    }
}

void GuardProcess::ask_to_end() {
    if (state_ != State::running) {
        return;
    }
    state_ = State::ending;
    outcome_.in_time = false;
    kill_at_ = std::min<BootTime>(end_by_.kill_at, boot_now() + Guard::kGrace);
    signal_group(SIGTERM);
    signal_group(SIGCONT);
}

void GuardProcess::sweep() {
    if (state_ == State::running) {
        kill_at_ = std::min<BootTime>(end_by_.kill_at, boot_now() + Guard::kGrace);
        signal_group(SIGTERM);
        signal_group(SIGCONT);
    }
    state_ = State::sweeping;
}

void GuardProcess::finish() {
    state_ = State::gone;
    take_terminal(terminal_group_);
    GuardReport report;
    report.kind = GuardReport::ended;
    report.outcome = outcome_;
    send(socket_, &report, sizeof(report), MSG_NOSIGNAL);
}

void GuardProcess::arm() {
    BootTime next{};
    if (state_ == State::running) {
        next = end_by_.term_at;
    } else if (state_ == State::ending || state_ == State::sweeping) {
        next = kill_at_;
    }
    itimerspec when{};
    if (state_ != State::waiting) {
        next = std::max(next, BootTime{1});  // 0 would disarm it
        const auto seconds = std::chrono::floor<std::chrono::seconds>(next);
        when.it_value.tv_sec = seconds.count();
        when.it_value.tv_nsec = (next - seconds).count();
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace

void be_guard(int socket,
              const std::vector<std::string>& command,
              const std::vector<std::string>& locks) {
    GuardProcess{socket, command, locks}.run();
    _exit(0);
}

}  // namespace holdfast::cli
