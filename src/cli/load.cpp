#include "cli/load.hpp"

#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <cmath>

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Slot {
    LoadClient* client;
    std::size_t kind = 0;
    Clock::time_point begun;
};

}  // namespace

LoadResult run_load(const std::vector<std::unique_ptr<LoadClient>>& clients,
                    std::size_t kinds,
                    std::chrono::milliseconds duration) {
    // Debian's absl looks for deadlocks at each lock that gRPC takes, as debug builds do.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    LoadResult result;
    result.kinds.resize(kinds);
    grpc::CompletionQueue queue;
    std::vector<Slot> slots;
    slots.reserve(clients.size());
    const auto start = Clock::now();
    const auto end = start + duration;
    const auto call = [&queue](Slot& slot) {
        slot.begun = Clock::now();
        slot.kind = slot.client->call(queue, &slot);
    };
    for (const auto& client : clients) {
        call(slots.emplace_back(Slot{client.get(), 0, {}}));
    }
    std::size_t open = slots.size();
    Clock::time_point last = start;
    void* tag = nullptr;
    for (bool ok = false; open > 0 && queue.Next(&tag, &ok);) {
        Slot& slot = *static_cast<Slot*>(tag);
        last = Clock::now();
        if (const std::string why = slot.client->ended(); why.empty()) {
            result.kinds[slot.kind].add(last - slot.begun);
        } else {
            ++result.failures[why];
        }
        if (last < end || slot.client->busy()) {
            call(slot);
        } else {
            --open;
        }
    }
    result.elapsed = last - start;
    for (auto& kind : result.kinds) {
        kind.sort();
    }
    queue.Shutdown();
    for (bool ok = false; queue.Next(&tag, &ok);) {
    }
    return result;
}

void LoadResult::Kind::add(std::chrono::steady_clock::duration latency) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency);
    latencies.push_back(static_cast<std::uint32_t>(us.count()));
}

void LoadResult::Kind::sort() {
    std::sort(latencies.begin(), latencies.end());
}

// The nearest rank.
std::uint32_t LoadResult::Kind::percentile(double percent) const {
    if (latencies.empty()) {
        return 0;
    }
    const double rank = std::ceil(percent / 100 * static_cast<double>(latencies.size()));
    return latencies[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

std::uint64_t LoadResult::succeeded() const {
    std::uint64_t total = 0;
    for (const Kind& kind : kinds) {
        total += kind.latencies.size();
    }
    return total;
}

std::uint64_t LoadResult::failed() const {
    std::uint64_t total = 0;
    for (const auto& [why, times] : failures) {
        total += times;
    }
    return total;
}

}  // namespace holdfast::cli
