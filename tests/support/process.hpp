#pragma once

// A child process of a test: ended by its destructor, and by the kernel if the test dies.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace holdfast::test {

class Process {
public:
    // Runs `arguments` with `environment` added; stdout and stderr go to `log`, if given.
    Process(const std::vector<std::string>& arguments,
            const std::string& log = "/dev/null",
            const std::map<std::string, std::string>& environment = {});
    ~Process();  // SIGKILL, if it still runs
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    void signal(int number) const;
    void stop() const;     // SIGSTOP, and waits until it stands
    void resume() const;   // SIGCONT
    void kill_and_wait();  // SIGKILL
    bool running();
    // Its exit code, or 128 + the signal that ended it; empty if it still runs after `most`.
    std::optional<int> wait(std::chrono::milliseconds most);

private:
    void reap(bool block);

    pid_t pid_ = -1;
    std::optional<int> status_;
};

// Asks `condition` again and again, every few milliseconds; false if it is not true within `most`.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds most = std::chrono::seconds{10});

void pause_briefly();  // between two looks

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds most) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        pause_briefly();
    }
    return true;
}

// A fresh directory, removed at the end.
class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// A TCP port of 127.0.0.1 that was free a moment ago, and has not been given lately.
int free_port();

std::string read_file(const std::string& path);

}  // namespace holdfast::test
