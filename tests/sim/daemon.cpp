#include "daemon.hpp"

#include "redis/reply.hpp"
#include "store/notices.hpp"
#include "support/no_feed.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> arguments_of(const std::string& wire) {
    redis::ReplyReader reader;
    bool broken = !reader.feed(wire);
    const auto command = reader.next(broken);
    std::vector<std::string> arguments;
    for (std::size_t i = 0; command && i < command->value().size(); ++i) {
        arguments.emplace_back(command->value()[i].text());
    }
    return arguments;
}

redis::Reply reply_of(const std::string& resp) {
    redis::ReplyReader reader;
    bool broken = !reader.feed(resp);
    return std::move(*reader.next(broken));
}

// A command and its reply on one line.
std::string shown(const std::vector<std::string>& arguments, const std::string& resp) {
    std::string line = "Redis:";
    for (const std::string& argument : arguments) {
        line += " " + argument;
    }
    line += " -> " + resp;
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, '.');
    return line;
}

}  // namespace

core::HolderId SeededIds::next() {
    core::HolderId id;
    for (char& byte : id.bytes) {
        byte = static_cast<char>(random_());
    }
    return id;
}

// The connection: requests and replies keep their order. What is on its way when it breaks may be
// executed or not.
struct Daemon::Link final : redis::Client {
    Link(Daemon& owner, World& its_world) : daemon(owner), world(its_world) {}

    struct Flight {
        absl::AnyInvocable<void(redis::Outcome)> done;
        bool over = false;
    };

    void send(std::size_t, redis::Command command) override {
        ++world.commands_;
        auto flight = std::make_shared<Flight>();
        flight->done = std::move(command.done);
        const std::uint64_t in = life;
        const bool other_redis = std::exchange(redis_run, world.redis_run_) != world.redis_run_;
        if (other_redis) {  // the handshake of the new connection
            const std::string run = std::to_string(redis_run);
            daemon.run([this, run](core::LockManager&) { canary->connected_to({run}); });
        }
        if (world.now_ < down_until || other_redis) {
            world.after(Duration{1}, [this, in, flight] {
                finish(in, flight, redis::Failure::refused_disconnected);
            });
            return;
        }
        under_way.push_back(flight);
        const Instant arrives = std::max(
            {world.now_ + world.random(20us, 2ms), last_arrival + 1ns, requests_stall_until});
        last_arrival = arrives;
        const std::uint64_t connection = connection_;
        world.at(arrives, [this, in, connection, flight, arguments = arguments_of(command.wire)] {
            arrive(in, connection, flight, arguments);
        });
        world.after(command.timeout,
                    [this, in, flight] { finish(in, flight, redis::Failure::unknown_timeout); });
    }

    void arrive(std::uint64_t in,
                std::uint64_t connection,
                const std::shared_ptr<Flight>& flight,
                const std::vector<std::string>& arguments) {
        if (world.now_ < world.redis_stands_until_) {
            world.at(world.redis_stands_until_, [this, in, connection, flight, arguments] {
                arrive(in, connection, flight, arguments);
            });
            return;
        }
        if (connection != connection_ && world.chance(0.5)) {
            return;  // the bytes never got there
        }
        const std::string resp = world.redis_.execute(arguments);
        if (world.options_.trace) {
            world.note(shown(arguments, resp));
        }
        if (connection != connection_) {
            return;
        }
        const Instant comes =
            std::max({world.now_ + world.random(20us, 2ms), last_reply + 1ns, replies_stall_until});
        last_reply = comes;
        world.at(comes, [this, in, connection, flight, resp] {
            if (connection == connection_) {
                finish(in, flight, reply_of(resp));
            }
        });
    }

    void finish(std::uint64_t in, const std::shared_ptr<Flight>& flight, redis::Outcome outcome) {
        if (in != life || flight->over) {
            return;
        }
        flight->over = true;
        std::erase(under_way, flight);
        auto shared = std::make_shared<redis::Outcome>(std::move(outcome));
        daemon.run([flight, shared](core::LockManager&) { flight->done(std::move(*shared)); });
    }

    void cut(Duration down) {
        ++connection_;
        down_until = world.now_ + down;
        last_arrival = last_reply = requests_stall_until = replies_stall_until = world.now_;
        for (const auto& flight : std::exchange(under_way, {})) {
            finish(life, flight, redis::Failure::unknown_disconnected);
        }
    }

    Daemon& daemon;
    World& world;
    std::uint64_t life = 0;  // of the process: later ones do not hear of earlier ones' commands
    std::uint64_t connection_ = 0;  // what is on its way belongs to one
    store::Canary* canary = nullptr;
    std::uint64_t redis_run = 0;  // of the process that the connection leads to
    Instant down_until{};
    Instant last_arrival{};
    Instant last_reply{};
    Instant requests_stall_until{};
    Instant replies_stall_until{};
    std::vector<std::shared_ptr<Flight>> under_way;
};

struct Daemon::Life {
    Life(Daemon& daemon, World& world, std::string name)
        : station(std::move(name)),
          link(daemon, world),
          store(link, daemon.clock_, {.canary = {.max_ttl = {4s}}, .station = station}),
          ids(world.random_),
          manager(daemon.clock_,
                  timers,
                  store,
                  ids,
                  observer,
                  feed,
                  {.max_ttl = {4s},
                   .default_ttl = {500ms},
                   .seed = static_cast<std::uint32_t>(world.random_())}),
          clock(daemon.clock_),
          probe(timers) {
        link.canary = &store.canary();
    }

    void look_each_second() {
        probe.set(clock.now() + 1s, [this] {
            look_each_second();
            store.canary().look(1s, [](const auto&) {});
        });
    }

    std::string station;
    core::TimerQueue timers;
    Link link;
    store::RedisLockStore store;
    SeededIds ids;
    LossObserver observer;
    test::NoFeed feed;
    core::LockManager manager;
    const core::Clock& clock;
    core::Timer probe;
};

Daemon::Daemon(World& world, std::size_t index)
    : world_(world), index_(index), clock_(world, world.random_rate(), world.random(0s, 1000s)) {
    start();
}

Daemon::~Daemon() = default;

void Daemon::start() {
    ++incarnation_;
    std::string station = std::to_string(index_) + "-" + std::to_string(incarnation_);
    station.resize(8, '_');
    life_ = std::make_shared<Life>(*this, world_, station);
    life_->link.life = incarnation_;
    life_->look_each_second();
}

core::LockManager& Daemon::manager() {
    return life_->manager;
}

void Daemon::run(std::function<void(core::LockManager&)> task) {
    if (!life_) {
        return;
    }
    if (paused_) {
        held_back_.push_back([this, task = std::move(task), in = incarnation_] {
            if (life_ && in == incarnation_) {
                task(life_->manager);
            }
        });
        return;
    }
    const auto keeps = life_;  // a task may end in this daemon's death
    task(keeps->manager);
}

Instant Daemon::next_timer() const {
    if (!life_ || paused_ || life_->timers.next() == core::kNever) {
        return core::kNever;
    }
    return std::max(world_.now_, clock_.world_time_of(life_->timers.next()));
}

void Daemon::fire() {
    life_->timers.fire(clock_.now());
}

void Daemon::pause(Duration lasts) {
    if (life_ && !std::exchange(paused_, true)) {
        world_.note("daemon " + std::to_string(index_) + " paused");
        world_.after(lasts, [this] { unpause(); });
    }
}

void Daemon::unpause() {
    if (!std::exchange(paused_, false)) {
        return;
    }
    world_.note("daemon " + std::to_string(index_) + " continued");
    if (life_ && world_.chance(0.5)) {
        fire();  // what it looks at first is the kernel's choice
    }
    for (const auto& task : std::exchange(held_back_, {})) {
        task();
    }
}

void Daemon::kill(Duration until_replaced) {
    if (!life_) {
        return;
    }
    world_.note("daemon " + std::to_string(index_) + " killed");
    life_->link.life = 0;
    world_.at(world_.now_ + 10min,
              [dead = std::move(life_)] {});  // its events may still refer to it
    life_ = nullptr;
    held_back_.clear();
    paused_ = false;
    world_.on_killed(index_);
    world_.after(until_replaced, [this] { start(); });
}

void Daemon::cut(Duration down) {
    if (life_) {
        world_.note("daemon " + std::to_string(index_) + " cut off");
        life_->link.cut(down);
    }
}

void Daemon::stall(Duration lasts, bool requests) {
    if (life_) {
        world_.note("daemon " + std::to_string(index_) + (requests ? " requests" : " replies") +
                    " stall");
        (requests ? life_->link.requests_stall_until : life_->link.replies_stall_until) =
            world_.now_ + lasts;
    }
}

void Daemon::hear(const std::string& channel, const std::string& payload) {
    if (!life_ || channel != store::Notices::channel_of(life_->station)) {
        return;
    }
    run([this, payload](core::LockManager& manager) {
        if (const auto notice = store::Notices{"hf:"}.parse(payload)) {
            if (notice->kind == store::Notice::Kind::freed) {
                manager.freed(notice->name);
            } else if (notice->kind == store::Notice::Kind::ended) {
                manager.ended(notice->holder);
            } else {
                manager.moved(notice->holder);
            }
        }
    });
}

}  // namespace holdfast::sim
