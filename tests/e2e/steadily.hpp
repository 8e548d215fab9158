#pragma once

#include "fixture.hpp"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::e2e {

// Takes and releases locks all the time; nothing may fail.
class Steadily {
public:
    explicit Steadily(const std::string& daemon) : thread_([this, daemon] { run(daemon); }) {}
    ~Steadily() { stop(); }
    void stop() {
        stopping_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    std::atomic<int> taken{0};
    std::vector<std::string> failed;  // read after stop()

private:
    void run(const std::string& daemon) {
        Client client{daemon};
        for (int i = 0; !stopping_; ++i) {
            const Answer got = client.acquire(daemon + std::to_string(i % 400), 2s);
            if (!got.ok()) {
                failed.push_back(got.reason + ' ' + got.status.error_message());
                continue;
            }
            const Answer released = client.release(client.lease.lease_id());
            if (!released.ok()) {
                failed.push_back("release: " + released.status.error_message());
            }
            ++taken;
        }
    }

    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace holdfast::e2e
