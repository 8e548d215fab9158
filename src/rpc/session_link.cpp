#include "rpc/session_link.hpp"

#include "rpc/status.hpp"

#include <algorithm>
#include <string>

namespace holdfast::rpc {

v1::OperationResult failed(std::uint64_t id, const core::Error& error) {
    v1::OperationResult result;
    result.set_id(id);
    fill(*result.mutable_error(), error);
    return result;
}

core::Result<bool> SessionLink::begin(std::uint64_t id, std::size_t shard) {
    const std::lock_guard lock{mutex_};
    if (operations_.size() >= limits_.max_session_operations) {
        return core::fail(core::Reason::quota,
                          std::to_string(operations_.size()) +
                              " operations of this session are under way, the most allowed "
                              "(limits.max_session_operations); wait for results");
    }
    if (!operations_.emplace(id, shard).second) {
        return core::invalid(
            "id",
            "id " + std::to_string(id) +
                " is that of an operation which is still under way; choose another");
    }
    return true;
}

std::optional<std::size_t> SessionLink::shard_of(std::uint64_t id) const {
    const std::lock_guard lock{mutex_};
    const auto found = operations_.find(id);
    return found == operations_.end() ? std::nullopt : std::optional{found->second};
}

void SessionLink::end(std::uint64_t id) {
    const std::lock_guard lock{mutex_};
    operations_.erase(id);
}

core::Result<bool> SessionLink::reserve_lease() {
    const std::lock_guard lock{mutex_};
    if (leases_ >= limits_.max_session_leases) {
        return core::fail(core::Reason::quota,
                          "this session has " + std::to_string(leases_) +
                              " leases and acquires that wait, the most allowed "
                              "(limits.max_session_leases)");
    }
    ++leases_;
    count();
    return true;
}

void SessionLink::lease_over() {
    const std::lock_guard lock{mutex_};
    --leases_;
    count();
}

void SessionLink::count_waiting(int more) {
    const std::lock_guard lock{mutex_};
    waiting_ += static_cast<std::size_t>(more);
    count();
}

void SessionLink::closed() {
    const std::lock_guard lock{mutex_};
    entry_.reset();
}

// For ListSessions.
void SessionLink::count() {
    if (entry_) {
        entry_->leases = leases_ - std::min(waiting_, leases_);
        entry_->waiting = waiting_;
    }
}

}  // namespace holdfast::rpc
