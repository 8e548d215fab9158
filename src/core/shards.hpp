#pragma once

// The shards of a daemon as its callers see them: say what a task is about, and it runs on the
// thread that owns that lock.
//
// A thread that has many tasks at a time gathers them: what it posts waits in its Gathering until it says
// flush(), so that each shard is woken once for all of them. Until then it must not wait for any of them.

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

    // What one thread gathers, from its construction on that thread to its destruction.
    class Gathering {
    public:
        explicit Gathering(Shards& shards)
            : shards_(shards), tasks_(shards.size()), outer_(std::exchange(current, this)) {}
        ~Gathering() {
            flush();
            current = outer_;
        }
        Gathering(const Gathering&) = delete;
        Gathering& operator=(const Gathering&) = delete;

        void flush() {
            for (std::size_t i = 0; i < tasks_.size(); ++i) {
                if (!tasks_[i].empty()) {
                    shards_.shards_[i]->post_all(tasks_[i]);
                }
            }
        }

    private:
        friend Shards;
        static inline thread_local Gathering* current = nullptr;

        Shards& shards_;
        std::vector<std::vector<Shard::Task>> tasks_;  // of each shard
        Gathering* outer_;
    };

    // Tasks about one lock run in the order they were posted, from any thread.
    void post(const LockName& name, Shard::Task task) { post_to(shard_of(name), std::move(task)); }
    // post(), for whoever shall not know of shards.
    Post poster() {
        return [this](const LockName& name, Shard::Task task) { post(name, std::move(task)); };
    }
    std::size_t shard_of(const LockName& name) const { return absl::HashOf(name) % shards_.size(); }

    // For what is about no lock in particular.
    void post_to(std::size_t shard, Shard::Task task) {
        Gathering* const gathering = Gathering::current;
        if (gathering != nullptr && &gathering->shards_ == this) {
            gathering->tasks_[shard].push_back(std::move(task));
        } else {
            shards_[shard]->post(std::move(task));
        }
    }

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
