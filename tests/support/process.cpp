#include "support/process.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace holdfast::test {
namespace {

// NAME=value of our environment, with changes.
std::vector<std::string> changed_environment(const std::map<std::string, std::string>& changes) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        if (!changes.contains(text.substr(0, text.find('=')))) {
            all.push_back(text);
        }
    }
    for (const auto& [name, value] : changes) {
        all.push_back(name + "=" + value);
    }
    return all;
}

// As exec takes it; refers to `texts`.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const std::string& text : texts) {
        all.push_back(const_cast<char*>(text.c_str()));
    }
    all.push_back(nullptr);
    return all;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments,
                 const std::string& log,
                 const std::map<std::string, std::string>& environment) {
    // Made before the fork: other threads may hold locks then, which nobody gives back in the child.
    const std::vector<char*> argv = pointers(arguments);
    const std::vector<std::string> texts = changed_environment(environment);
    const std::vector<char*> envp = pointers(texts);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || fd < 0) {
            _exit(126);
        }
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        // Else a connection that the test closes stays open in the child, and no one sees it end.
        close_range(STDERR_FILENO + 1, ~0U, 0);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
        execvpe(argv[0], argv.data(), envp.data());
        _exit(127);
    }
    if (pid_ < 0) {
        throw std::runtime_error("fork failed");
    }
}

Process::~Process() {
    if (running()) {
        kill_and_wait();
    }
}

void Process::signal(int number) const {
    kill(pid_, number);
}

void Process::stop() const {
    signal(SIGSTOP);
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT) != 0 ||
        info.si_code != CLD_STOPPED) {
        throw std::runtime_error("the process to be stopped had ended");
    }
}

void Process::resume() const {
    signal(SIGCONT);
}

void Process::kill_and_wait() {
    signal(SIGKILL);
    reap(true);
}

bool Process::running() {
    reap(false);
    return !status_;
}

std::optional<int> Process::wait(std::chrono::milliseconds most) {
    eventually([this] { return !running(); }, most);
    return status_;
}

void Process::reap(bool block) {
    int status = 0;
    if (!status_ && waitpid(pid_, &status, block ? 0 : WNOHANG) == pid_) {
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

void pause_briefly() {
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
}

TempDir::TempDir() {
    path_ = (std::filesystem::temp_directory_path() / "hf-test-XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) {
        throw std::runtime_error("mkdtemp failed");
    }
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

namespace {

// Below those that Linux takes for outgoing connections, which would take one before it is bound. Each of
// the processes that run a program's tests side by side has some of its own.
struct Ports {
    static constexpr int kFirst = 12000;
    static constexpr int kEnd = 32000;

    static int of_environment(const char* name, int otherwise) {
        const char* text = std::getenv(name);
        return text != nullptr ? std::atoi(text) : otherwise;
    }

    int processes = std::max(of_environment("GTEST_TOTAL_SHARDS", 1), 1);
    int count = (kEnd - kFirst) / processes;
    int first = kFirst + count * of_environment("GTEST_SHARD_INDEX", 0);
    int next = std::random_device{}() % static_cast<unsigned>(count);
};

bool is_unused(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    return bound;
}

}  // namespace

// One after the other, so that none is given again before whom it was given to has bound it.
int free_port() {
    static std::mutex mutex;
    static Ports ports;
    const std::lock_guard lock{mutex};
    for (int tries = 0; tries < ports.count; ++tries) {
        const int port = ports.first + ports.next;
        ports.next = (ports.next + 1) % ports.count;
        if (is_unused(port)) {
            return port;
        }
    }
    throw std::runtime_error("no port is free");
}

std::string read_file(const std::string& path) {
    std::ifstream stream{path};
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

}  // namespace holdfast::test
