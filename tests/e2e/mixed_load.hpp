#pragma once

// Clients that use two daemons in every way there is: exclusive, shared and permit locks; Acquire with
// Renew, and Hold; some release at the other daemon, some leave without a word, while they wait or while
// they hold. Each notes what it saw. Daemons and Redis may come and go under them.

#include "history.hpp"
#include "hold_stream.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::e2e {

class MixedLoad {
public:
    struct Options {
        int clients = 5;  // of each daemon
        std::chrono::milliseconds ttl{1000};
        std::chrono::milliseconds wait{1000};
        unsigned leaves_one_in = 32;  // without a word; 0: nobody
        unsigned long_one_in = 24;    // holds for about as long as the ttl, or longer
        unsigned seed = 1;
    };

    MixedLoad(std::vector<std::string> daemons, Options options);
    ~MixedLoad() { stop(); }
    // Every client ends what it does, and releases what it holds.
    void stop();

    // How often each thing was seen: "granted", the reasons of errors, events.
    int count(const std::string& what) const;
    std::string summary() const;

    History history;

private:
    class Worker;
    class Streamed;

    void saw(const std::string& what);

    const std::vector<std::string> daemons_;
    const Options options_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::map<std::string, int> counts_;
    std::vector<std::thread> threads_;
};

}  // namespace holdfast::e2e
