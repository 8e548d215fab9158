#include "world.hpp"

#include "daemon.hpp"
#include "store/lua_scripts.hpp"
#include "support/record_head.hpp"

#include <algorithm>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLogLines = 60;

}  // namespace

Instant DriftingClock::now() const noexcept {
    const auto since = std::chrono::duration<double, std::nano>(world_.now_.time_since_epoch());
    return Instant{ahead_ + std::chrono::duration_cast<Duration>(since * rate_)};
}

Instant DriftingClock::world_time_of(Instant at) const {
    const auto own = std::chrono::duration<double, std::nano>(at.time_since_epoch() - ahead_);
    return Instant{std::chrono::ceil<Duration>(own / rate_)} + 1us;
}

World::World(Options options)
    : options_(std::move(options)),
      random_(options_.seed),
      end_(now_ + options_.busy),
      redis_clock_(*this, 1.0, 480'000h),
      redis_([this] { return redis_time_us(); }),
      clients_(options_.clients) {
    for (std::string_view source : {store::kLua_acquire,
                                    store::kLua_release,
                                    store::kLua_cancel,
                                    store::kLua_renew,
                                    store::kLua_inspect,
                                    store::kLua_convert,
                                    store::kLua_leave,
                                    store::kLua_adopt,
                                    store::kLua_canary,
                                    store::kLua_revoke}) {
        redis_.load(std::string{source});
    }
    for (const Plant& plant : options_.plants) {
        if (redis_.replace_in_scripts(plant.script_text, plant.instead) == 0) {
            throw std::logic_error("nothing to plant: " + plant.script_text);
        }
    }
    redis_.on_publish = [this](const std::string& channel, const std::string& payload) {
        if (options_.faults && chance(0.1)) {
            return;
        }
        after(random(20us, 2ms), [this, channel, payload] {
            for (const auto& daemon : daemons_) {
                daemon->hear(channel, payload);
            }
        });
    };
    for (std::size_t i = 0; i < options_.daemons; ++i) {
        daemons_.push_back(std::make_unique<Daemon>(*this, i));
    }
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        clients_[i].id = static_cast<int>(i);
        clients_[i].clock = std::make_unique<DriftingClock>(*this, random_rate(), 0s);
        after(random(0s, 1s), [this, i] { start_client(clients_[i]); });
    }
    if (options_.faults) {
        after(random(0s, 3s), [this] { fault(); });
    }
    patrol();
    if (options_.drift > 0.001) {
        checker_.trouble(core::kNever);
    }
}

World::~World() = default;

std::int64_t World::redis_time_us() const {
    return std::chrono::floor<std::chrono::microseconds>(redis_clock_.now().time_since_epoch())
        .count();
}

void World::at(Instant when, std::function<void()> action) {
    events_.push({std::max(when, now_),
                  ++order_,
                  std::make_shared<std::function<void()>>(std::move(action))});
}

Duration World::random(Duration least, Duration most) {
    return least + Duration{static_cast<std::int64_t>(
                       random_() % static_cast<std::uint64_t>((most - least).count() + 1))};
}

double World::random_rate() {
    const double within = static_cast<double>(random_() >> 11) * 0x1p-53;
    return 1.0 + options_.drift * (2 * within - 1);
}

bool World::chance(double probability) {
    return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

void World::note(const std::string& what) {
    std::ostringstream line;
    line << std::chrono::duration_cast<std::chrono::microseconds>(now_ - Instant{1h}).count() / 1e6
         << "  " << what;
    if (options_.trace) {
        std::cerr << line.str() << '\n';
    }
    log_.push_back(line.str());
    if (log_.size() > kLogLines) {
        log_.erase(log_.begin());
    }
}

void World::step() {
    Daemon* due = nullptr;
    Instant earliest = events_.empty() ? core::kNever : events_.top().at;
    for (const auto& daemon : daemons_) {
        if (daemon->next_timer() < earliest) {
            earliest = daemon->next_timer();
            due = daemon.get();
        }
    }
    now_ = std::max(now_, earliest);
    if (due != nullptr) {
        due->fire();
        return;
    }
    const auto action = events_.top().action;
    events_.pop();
    (*action)();
}

std::string World::run() {
    const Instant settled = end_ + 60s;
    at(settled, [] {});
    while (checker_.failure().empty() && now_ < settled) {
        step();
    }
    settle();
    if (checker_.failure().empty()) {
        return "";
    }
    std::string story = "seed " + std::to_string(options_.seed) + ": " + checker_.failure();
    for (const std::string& line : log_) {
        story += "\n  " + line;
    }
    return story;
}

// Nobody has asked for anything for a minute: nothing may be left.
void World::settle() {
    for (const Client& client : clients_) {
        if (client.state != Client::State::idle) {
            checker_.fail("L2: client " + std::to_string(client.id) + " was never answered");
        }
    }
    for (const auto& daemon : daemons_) {
        const auto counts = daemon->manager().counts();
        if (counts.waiting + counts.leases + counts.reaping > 0) {
            checker_.fail("P4: a daemon still has " + std::to_string(counts.waiting) +
                          " waiting, " + std::to_string(counts.leases) + " leases, " +
                          std::to_string(counts.reaping) + " to clean up");
        }
    }
    for (const auto& [key, record] : redis_.keys()) {
        if (record.expires_ms == 0 && record.text.empty()) {  // that is the canary
            checker_.fail("P4: " + key + " has no ttl");
        }
        for (const auto& [field, value] : record.hash) {
            const bool holds = field == "l" && !redis_.field(key, "i").empty() &&
                               test::RecordHead{value}.expiry_us > redis_time_us();
            if (holds || (field == "q" && !value.empty() &&
                          std::stoll(value.substr(value.size() - 16)) > redis_time_us())) {
                checker_.fail("P4: " + key + " still has a holder or a ticket: " + value);
            }
        }
    }
}

void World::lose_memory() {
    const bool restarts = chance(0.5);
    // Daemons that look each second notice a backup that is older than that.
    const bool has_backup = backup_at_ != core::kNever && now_ > backup_at_ + 3s;
    const auto before = redis_.snapshot();
    if (has_backup && chance(0.6)) {
        note(restarts ? "Redis restarts with a backup" : "Redis loads a backup");
        if (restarts) {
            redis_.restart();
        }
        redis_.restore(backup_);
    } else if (restarts) {
        note("Redis restarts empty");
        redis_.restart();
    } else {
        note("Redis is flushed");
        redis_.flush();
    }
    if (chance(0.7)) {
        backup_ = before;
        backup_at_ = now_;
    }
    if (restarts) {
        ++redis_run_;
        for (const auto& daemon : daemons_) {
            daemon->cut(0s);
        }
    }
}

void World::fault() {
    if (now_ >= end_) {
        return;
    }
    Daemon& victim = daemon(random_() % daemons_.size());
    Duration lasts{};
    Duration aftermath = 1500ms;  // until nothing may be left of it
    switch (random_() % 8) {
        case 0:
            lasts = random(10ms, 5s);
            victim.pause(lasts);
            break;
        case 1:
            lasts = random(100ms, 3s);
            victim.kill(lasts);
            aftermath = 4s;  // what it granted ends with its ttl
            break;
        case 2:
            lasts = random(0s, 3s);
            victim.cut(lasts);
            break;
        case 3:
            lasts = random(100ms, 4s);
            victim.stall(lasts, true);
            break;
        case 4:
            lasts = random(100ms, 4s);
            victim.stall(lasts, false);
            break;
        case 5:
            lasts = random(100ms, 4s);
            note("Redis stands still");
            redis_stands_until_ = now_ + lasts;
            break;
        case 6:  // what was sent comes late, after what is sent over the next connection
            lasts = random(100ms, 1500ms);
            victim.stall(lasts, true);
            after(random(0s, 300ms), [&victim] { victim.cut(0s); });
            break;
        case 7:
            lose_memory();
            aftermath = 12s;  // nothing is granted for a while; what came back with a backup ends
            break;
    }
    checker_.trouble(now_ + lasts + aftermath + 8s);
    quiet_at_ = std::max(quiet_at_, now_ + lasts + aftermath);
    after(random(0s, 6s), [this] { fault(); });
}

}  // namespace holdfast::sim
