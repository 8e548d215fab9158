#include "daemon/readiness.hpp"

#include <utility>

namespace holdfast::daemon {

Readiness::Readiness(std::size_t shards, Listener listener)
    : listener_(std::move(listener)),
      troubles_(shards, "the store has not answered yet"),
      trouble_(find_trouble()) {}

void Readiness::report(std::size_t shard, std::string trouble) {
    const std::lock_guard lock{mutex_};
    troubles_[shard] = std::move(trouble);
    update();
}

void Readiness::drain() {
    const std::lock_guard lock{mutex_};
    draining_ = true;
    update();
}

void Readiness::update() {
    std::string now = find_trouble();
    if (now == trouble_) {
        return;
    }
    trouble_ = std::move(now);
    listener_(trouble_);
    changed_.notify_all();
}

std::string Readiness::find_trouble() const {
    if (draining_) {
        return "draining";
    }
    for (const std::string& trouble : troubles_) {
        if (!trouble.empty()) {
            return "store: " + trouble;
        }
    }
    return {};
}

bool Readiness::wait_ready(std::chrono::milliseconds most) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, most, [this] { return trouble_.empty(); });
}

std::string Readiness::trouble() const {
    const std::lock_guard lock{mutex_};
    return trouble_;
}

}  // namespace holdfast::daemon
