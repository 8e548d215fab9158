#pragma once

// A lock that is held over a stream while a test does something to the store.

#include "hold_stream.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::e2e {

using Time = Steady::time_point;

constexpr auto kPatience = 60s;

// A Hold, and when it was told what.
class Keeper {
public:
    Keeper(const std::string& daemon, const std::string& name, std::chrono::milliseconds ttl)
        : client_(daemon), stream_(client_, Client::request(name, ttl, 30s)) {
        EXPECT_TRUE(stream_.until(Event::kGranted));
        token = stream_.lease.fencing_token();
        reader_ = std::thread{[this] {
            for (Event kind = stream_.next(); kind != Event::EVENT_NOT_SET; kind = stream_.next()) {
                const std::lock_guard lock{mutex_};
                told_.emplace_back(kind, Steady::now());
            }
        }};
    }
    ~Keeper() {
        stream_.cancel();
        reader_.join();
    }

    // When it first heard one of these, from `since` on.
    std::optional<Time> heard(std::vector<Event> wanted, Time since = {}) const {
        const std::lock_guard lock{mutex_};
        for (const auto& [kind, when] : told_) {
            if (when >= since && std::find(wanted.begin(), wanted.end(), kind) != wanted.end()) {
                return when;
            }
        }
        return std::nullopt;
    }
    bool awaits(const std::vector<Event>& wanted, Time since = {}) const {
        return eventually([&] { return heard(wanted, since).has_value(); }, kPatience);
    }

    std::uint64_t token = 0;

private:
    Client client_;
    HoldStream stream_;
    mutable std::mutex mutex_;
    std::vector<std::pair<Event, Time>> told_;
    std::thread reader_;
};

// Its answer is that what was held may be forgotten, as soon as it has found its Redis again; never a grant.
inline void expect_recovering(const std::string& daemon, const std::string& name) {
    Client client{daemon};
    Answer answer;
    EXPECT_TRUE(eventually(
        [&] {
            answer = client.acquire(name, 1s);
            return answer.reason != "STORE_UNAVAILABLE" && answer.reason != "OUTCOME_UNKNOWN";
        },
        kPatience));
    EXPECT_EQ(answer.reason, "RECOVERING") << answer.status.error_message();
}

}  // namespace holdfast::e2e
