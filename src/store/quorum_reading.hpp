#pragma once

// What the nodes of a quorum say of one lock, put together. Of quorum_reading.cpp and its test.

#include "core/lock_store.hpp"
#include "store/quorum_votes.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

// One node's record.
struct RecordSeen {
    std::uint64_t fence = 0;
    std::size_t waiting = 0;
    std::uint64_t token = 0;  // 0: nobody holds it there
    std::int64_t left_us = 0;
    std::int64_t held_for_us = 0;
    std::string texts;
};

class LockSeen {
public:
    explicit LockSeen(QuorumSize size) : size_(size) {}

    // Of each node that answers. Empty: no record, or what the key holds is no lock.
    void add(std::size_t node, std::optional<RecordSeen> record);
    // Held by somebody for sure, or free for sure: the other nodes need not be waited for.
    bool certain() const;
    // `absent`: nodes that have not answered, and may have what the others have.
    std::optional<core::LockState> state(const core::LockName& name, std::size_t absent) const;
    // Somebody holds it at one of these nodes, a bit each.
    bool held_at(unsigned nodes) const;

private:
    struct One {
        std::size_t node;
        RecordSeen record;
    };
    std::vector<const One*> with_most() const;

    QuorumSize size_;
    std::size_t answers_ = 0;
    std::vector<One> seen_;
};

}  // namespace holdfast::store
