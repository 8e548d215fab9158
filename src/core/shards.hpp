#pragma once

// The shards of a daemon as its callers see them: say what a task is about, and it runs on the
// thread that owns that lock.

#include "core/lock_manager.hpp"
#include "core/lock_sets.hpp"
#include "core/shard.hpp"

#include <absl/hash/hash.h>

#include <memory>
#include <utility>
#include <vector>

namespace holdfast::core {

class Shards {
public:
    explicit Shards(std::vector<std::unique_ptr<Shard>> shards) : shards_(std::move(shards)) {}

    // Starts a shard's thread; what was posted to it before runs first.
    void start(std::size_t shard, LockManager& manager) { shards_[shard]->start(manager); }

    // Tasks about one lock run in the order they were posted, from any thread.
    void post(const LockName& name, Shard::Task task) {
        shards_[shard_of(name)]->post(std::move(task));
    }
    // post(), for whoever shall not know of shards.
    Post poster() {
        return [this](const LockName& name, Shard::Task task) { post(name, std::move(task)); };
    }
    std::size_t shard_of(const LockName& name) const { return absl::HashOf(name) % shards_.size(); }

    // For what is about no lock in particular.
    void post_to(std::size_t shard, Shard::Task task) { shards_[shard]->post(std::move(task)); }

    std::size_t size() const { return shards_.size(); }

    void stop() {
        for (const auto& shard : shards_) {
            shard->stop();
        }
    }

private:
    std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace holdfast::core
