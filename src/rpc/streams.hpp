#pragma once

// The streams that this daemon serves (Hold and Session), for ListSessions: an entry for each, from
// its opening to its end. From any thread. An entry may outlive Streams.

#include "core/peers.hpp"

#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::rpc {

class Streams {
public:
    class Entry;

    Streams() : open_(std::make_shared<Open>()) {}

    // Counts the stream until the entry is gone.
    std::unique_ptr<Entry> opened(std::string peer, core::Instant at) const;

    struct Listing {
        std::vector<core::StreamReport> streams;
        bool cut = false;  // there are more
    };
    Listing list(core::Instant now, std::size_t most) const;

private:
    struct Open {
        std::mutex mutex;
        absl::flat_hash_set<const Entry*> entries;
    };
    const std::shared_ptr<Open> open_;
};

class Streams::Entry {
public:
    Entry(std::shared_ptr<Open> open, std::string from, core::Instant at);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    const std::string peer;
    const core::Instant since;
    std::atomic<std::size_t> leases{0};
    std::atomic<std::size_t> waiting{0};

private:
    const std::shared_ptr<Open> open_;
};

}  // namespace holdfast::rpc
