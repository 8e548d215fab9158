#include "daemon/readiness.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::daemon {
namespace {

using Level = Condition::Level;

Condition nothing_known() {
    return {Level::down, "the store has not answered yet"};
}

}  // namespace

Readiness::Readiness(std::size_t shards, Listener listener)
    : listener_(std::move(listener)), found_(shards, nothing_known()), now_(all().front()) {}

void Readiness::report(std::size_t shard, Condition found) {
    const std::lock_guard lock{mutex_};
    found_[shard] = std::move(found);
    update();
}

void Readiness::report(std::vector<Check> found) {
    const std::lock_guard lock{mutex_};
    checked_ = true;
    checks_ = std::move(found);
    update();
}

void Readiness::drain() {
    const std::lock_guard lock{mutex_};
    draining_ = true;
    update();
}

void Readiness::update() {
    Condition now = all().front();
    if (now == now_) {
        return;
    }
    now_ = std::move(now);
    listener_(now_);
    changed_.notify_all();
}

// The worst first; at the end one that is ready.
std::vector<Condition> Readiness::all() const {
    if (draining_) {
        return {{Level::down, "draining"}, {}};
    }
    std::vector<Condition> all = found_;
    if (!checked_) {
        all.push_back(nothing_known());
    }
    for (const Check& check : checks_) {
        if (check.severity == Severity::refused) {
            all.push_back({Level::unfit, check.text});
        }
    }
    all.emplace_back();
    for (Condition& one : all) {
        if (one.level > Level::ready) {
            one.why = "store: " + one.why;
        }
    }
    std::stable_sort(
        all.begin(), all.end(), [](const auto& a, const auto& b) { return a.level > b.level; });
    return all;
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

std::vector<std::string> Readiness::reasons() const {
    const std::lock_guard lock{mutex_};
    std::vector<std::string> reasons;
    for (const Condition& one : all()) {
        if (one.level > Level::ready &&
            std::find(reasons.begin(), reasons.end(), one.why) == reasons.end()) {
            reasons.push_back(one.why);
        }
    }
    return reasons;
}

std::vector<std::string> Readiness::warnings() const {
    const std::lock_guard lock{mutex_};
    std::vector<std::string> warnings;
    for (const Check& check : checks_) {
        if (check.severity == Severity::warning) {
            warnings.push_back("store: " + check.text);
        }
    }
    return warnings;
}

std::vector<Check> Readiness::checks() const {
    const std::lock_guard lock{mutex_};
    return checks_;
}

}  // namespace holdfast::daemon
