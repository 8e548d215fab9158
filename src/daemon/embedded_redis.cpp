#include "daemon/embedded_redis.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace holdfast::daemon {
namespace {

constexpr int kExecFailed = 127;
constexpr std::chrono::seconds kStartTimeout{10};
constexpr std::chrono::milliseconds kLookAgain{5};

bool accepts(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const bool connected =
        connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    return connected;
}

std::string last_line(const std::string& path) {
    std::ifstream stream{path};
    std::string last;
    for (std::string line; std::getline(stream, line);) {
        last = line;
    }
    return last;
}

// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become_redis(pid_t parent, const std::vector<char*>& arguments) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(kExecFailed);  // the daemon has died meanwhile
    }
    setpgid(0, 0);  // Ctrl-C in a terminal is for the daemon, which drains first
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(arguments.front(), arguments.data());
    _exit(kExecFailed);
}

}  // namespace

EmbeddedRedis::EmbeddedRedis() {
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
        throw std::system_error(errno, std::generic_category(), "making " + pattern);
    }
    directory_ = pattern;
    socket_ = directory_ + "/redis.sock";
    log_ = directory_ + "/redis.log";
    try {
        spawn();
        wait_until_it_accepts();
    } catch (...) {
        remove();
        throw;
    }
}

EmbeddedRedis::~EmbeddedRedis() {
    remove();
}

void EmbeddedRedis::spawn() {
    std::vector<std::string> words{"redis-server",
                                   "--port",
                                   "0",
                                   "--unixsocket",
                                   socket_,
                                   "--unixsocketperm",
                                   "700",
                                   "--save",
                                   "",
                                   "--appendonly",
                                   "no",
                                   "--maxmemory-policy",
                                   "noeviction",
                                   "--dir",
                                   directory_,
                                   "--logfile",
                                   log_,
                                   "--daemonize",
                                   "no"};
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) {
        throw std::system_error(errno, std::generic_category(), "starting redis-server");
    }
    if (pid_ == 0) {
        become_redis(parent, arguments);
    }
}

void EmbeddedRedis::wait_until_it_accepts() {
    const auto end = std::chrono::steady_clock::now() + kStartTimeout;
    while (!accepts(socket_)) {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = -1;
            if (WIFEXITED(status) && WEXITSTATUS(status) == kExecFailed) {
                throw std::runtime_error(
                    "redis-server is not installed (needed for the embedded store): install the "
                    "package redis-server, or give a Redis with --store redis://host:6379");
            }
            throw std::runtime_error("the embedded redis-server ended at once: " + last_line(log_));
        }
        if (std::chrono::steady_clock::now() > end) {
            throw std::runtime_error("the embedded redis-server does not accept connections: " +
                                     last_line(log_));
        }
        std::this_thread::sleep_for(kLookAgain);  // nothing tells when the socket appears
    }
}

void EmbeddedRedis::remove() noexcept {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);  // it has nothing to save
        while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    std::error_code ignored;  // a directory that is left behind in /tmp harms nobody
    std::filesystem::remove_all(directory_, ignored);
}

}  // namespace holdfast::daemon
