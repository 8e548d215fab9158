#include "daemon/readiness.hpp"

#include <utility>

namespace holdfast::daemon {

using Level = Condition::Level;

Readiness::Readiness(std::size_t shards, Listener listener)
    : listener_(std::move(listener)),
      found_(shards, {Level::down, "the store has not answered yet"}),
      now_(worst()) {}

void Readiness::report(std::size_t shard, Condition found) {
    const std::lock_guard lock{mutex_};
    found_[shard] = std::move(found);
    update();
}

void Readiness::drain() {
    const std::lock_guard lock{mutex_};
    draining_ = true;
    update();
}

void Readiness::update() {
    Condition now = worst();
    if (now == now_) {
        return;
    }
    now_ = std::move(now);
    listener_(now_);
    changed_.notify_all();
}

Condition Readiness::worst() const {
    if (draining_) {
        return {Level::down, "draining"};
    }
    Condition worst;
    for (const Condition& one : found_) {
        if (one.level > worst.level) {
            worst = {one.level, "store: " + one.why};
        }
    }
    return worst;
}

Condition Readiness::wait(std::chrono::milliseconds most) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, most, [this] { return now_.level != Level::down; });
    return now_;
}

Condition Readiness::now() const {
    const std::lock_guard lock{mutex_};
    return now_;
}

}  // namespace holdfast::daemon
