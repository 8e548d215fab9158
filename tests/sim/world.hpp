#pragma once

// A whole Holdfast in one thread and in simulated time: the daemons' own objects (LockManager, the
// Redis adapter, its scripts) over a Redis in memory, with clients, and with whatever a seed makes go
// wrong. The same seed gives the same run, to the last step.
//
// What goes wrong: commands and replies take a random time; a connection breaks, with commands on it
// executed or not; a direction of it stalls for seconds, so that commands run late; Redis stands still;
// notices (pub/sub) are lost; a daemon is paused for longer than a ttl, or killed and replaced; clients
// give up, die, retry with the same request_id, release at another daemon; Redis is flushed, restarted
// empty or with an old backup, or loads one in place. Clocks run at different
// rates, by up to 4 % (then the order among daemons is not checked: their stamps are not that good).
//
// The checker (checker.hpp) looks at every answer a client gets, and at what is left at the end.

#include "checker.hpp"
#include "core/lock_manager.hpp"
#include "store/redis_lock_store.hpp"
#include "support/lua_redis.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace holdfast::sim {

using core::Duration;
using core::Instant;
using core::Milliseconds;

class World;

// A clock that is set off and runs at its own rate.
class DriftingClock final : public core::Clock {
public:
    DriftingClock(const World& world, double rate, Duration ahead)
        : world_(world), rate_(rate), ahead_(ahead) {}
    Instant now() const noexcept override;
    // When, in the world's time, this clock shows `at`.
    Instant world_time_of(Instant at) const;

private:
    const World& world_;
    double rate_;
    Duration ahead_;
};

// One daemon with one shard.
class Daemon;

// One client: takes a lock, holds it, gives it back, over and over.
struct Client {
    enum class State { idle, acquiring, holding, releasing };
    int id = 0;
    State state = State::idle;
    std::uint64_t turn = 0;  // what an event was meant for
    std::size_t daemon = 0;
    std::uint64_t incarnation = 0;  // of that daemon
    std::shared_ptr<core::LockManager::Ticket> ticket;
    core::AcquireRequest request{*core::LockName::parse("-")};
    Instant sent_at{};  // in the world's time
    std::optional<core::Grant> grant;
    Instant believes_until{};  // in the world's time
    std::unique_ptr<DriftingClock> clock;
};

// What is planted in the scripts, to see that it is found: each replaces a text in them.
struct Plant {
    std::string script_text;
    std::string instead;
};

class World {
public:
    struct Options {
        std::uint64_t seed = 1;
        std::size_t daemons = 2;
        std::size_t clients = 8;
        std::size_t locks = 2;
        Duration busy = std::chrono::seconds{60};  // then everything calms down
        bool faults = true;
        double long_holds = 0.2;  // so many hold for longer than a ttl
        double drift = 0.0002;    // rates of clocks differ from each other by up to twice this
        std::vector<Plant> plants;
        bool trace = false;  // every step to stderr
    };
    explicit World(Options options);
    ~World();

    // Runs to the end. Empty, or what was violated, with the last steps.
    std::string run();
    std::uint64_t commands() const { return commands_; }
    std::uint64_t grants() const { return checker_.grants(); }
    std::uint64_t conversions() const { return conversions_; }

private:
    friend class Daemon;
    friend class DriftingClock;

    struct Event {
        Instant at;
        std::uint64_t order;
        std::shared_ptr<std::function<void()>> action;
        bool operator>(const Event& other) const {
            return std::pair{at, order} > std::pair{other.at, other.order};
        }
    };

    void at(Instant when, std::function<void()> action);
    void after(Duration delay, std::function<void()> action) {
        at(now_ + delay, std::move(action));
    }
    double random_rate();
    Duration random(Duration least, Duration most);
    bool chance(double probability);
    void step();
    void settle();
    void note(const std::string& what);

    void start_client(Client& client);
    void acquire(Client& client);
    void on_answer(Client& client, core::Result<core::Grant> answer);
    void hold(Client& client, Duration wants);
    void renew(Client& client);
    void convert(Client& client);
    Instant told_until(const Client& client,
                       Instant sent_at,
                       Instant received_at,
                       Instant now,
                       const core::Grant& grant) const;
    void patrol();
    void release(Client& client);
    void give_up(Client& client);
    void fault();
    void lose_memory();
    void on_killed(std::size_t index);
    Daemon& daemon(std::size_t index) { return *daemons_[index]; }
    std::int64_t redis_time_us() const;

    Options options_;
    std::mt19937_64 random_;
    Instant now_{std::chrono::hours{1}};
    Instant end_;
    std::uint64_t redis_run_ = 1;  // of the Redis process
    std::map<std::string, test::LuaRedis::Key> backup_;
    Instant backup_at_ = core::kNever;
    std::uint64_t order_ = 0;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    DriftingClock redis_clock_;
    test::LuaRedis redis_;
    Instant redis_stands_until_{};
    std::vector<std::unique_ptr<Daemon>> daemons_;
    std::vector<Client> clients_;
    Checker checker_;
    Instant quiet_at_{};  // the last fault and what follows from it are over
    std::uint64_t commands_ = 0;
    std::uint64_t conversions_ = 0;
    std::map<std::string, std::pair<std::string, Instant>> seen_;  // lock -> token, since when
    std::vector<std::string> log_;
};

}  // namespace holdfast::sim
