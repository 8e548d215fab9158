#pragma once

// A daemon of the simulation: one shard, its connection to Redis, and its subscription.

#include "world.hpp"

#include <deque>

namespace holdfast::sim {

class SeededIds final : public core::HolderIdSource {
public:
    explicit SeededIds(std::mt19937_64& random) : random_(random) {}
    core::HolderId next() override;

private:
    std::mt19937_64& random_;
};

// Hears of losses so that clients are told, as a stream would.
class LossObserver final : public core::Observer {
public:
    void lease_at_risk(const core::Lease&, std::string_view) override {}
    void lease_recovered(const core::Lease&) override {}
    void lease_lost(const core::Lease&, core::LossCause) override {}
    void outcome_unknown(const core::LockName&) override {}
};

class Daemon {
public:
    Daemon(World& world, std::size_t index);
    ~Daemon();

    // Its process runs a task: at once, or when it is continued, unless it is killed before.
    void run(std::function<void(core::LockManager&)> task);
    bool alive() const { return life_ != nullptr; }
    std::uint64_t incarnation() const { return incarnation_; }
    const core::Clock& clock() const { return clock_; }
    Instant world_time_of(Instant own) const { return clock_.world_time_of(own); }
    core::LockManager& manager();

    // When its next timer is due, in the world's time; kNever while it is paused or dead.
    Instant next_timer() const;
    void fire();

    void pause(Duration lasts);
    void kill(Duration until_replaced);
    void cut(Duration down);
    void stall(Duration lasts, bool requests);
    void hear(const std::string& channel, const std::string& payload);

private:
    // One incarnation of the process.
    struct Life;
    struct Link;

    void start();
    void unpause();

    World& world_;
    std::size_t index_;
    std::uint64_t incarnation_ = 0;
    DriftingClock clock_;
    bool paused_ = false;
    std::deque<std::function<void()>> held_back_;  // while paused
    std::shared_ptr<Life> life_;
};

}  // namespace holdfast::sim
