#pragma once

// Closed-loop load: a number of clients that each make one call after the other, for a time. One
// thread, one completion queue.

#include <grpcpp/completion_queue.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

// One client. Its calls are of a few kinds, by index (for example 0: acquire, 1: release).
class LoadClient {
public:
    virtual ~LoadClient() = default;
    // Begins the next call; returns its kind.
    virtual std::size_t call(grpc::CompletionQueue& queue, void* tag) = 0;
    // The call has ended. Empty if it succeeded, else why not.
    virtual std::string ended() = 0;
    // True while it holds something: its calls go on after the time is up, until it does not.
    virtual bool busy() const { return false; }
};

struct LoadResult {
    struct Kind {
        std::vector<std::uint32_t> latencies;  // of calls that succeeded, us, sorted
        void add(std::chrono::steady_clock::duration latency);
        void sort();
        std::uint32_t percentile(double percent) const;
    };
    std::vector<Kind> kinds;
    std::chrono::duration<double> elapsed{};
    std::map<std::string, std::uint64_t> failures;  // how often, by why

    std::uint64_t succeeded() const;
    std::uint64_t failed() const;
    double per_second() const { return static_cast<double>(succeeded()) / elapsed.count(); }
};

LoadResult run_load(const std::vector<std::unique_ptr<LoadClient>>& clients,
                    std::size_t kinds,
                    std::chrono::milliseconds duration);

}  // namespace holdfast::cli
