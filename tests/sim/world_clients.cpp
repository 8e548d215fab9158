// What clients do in the simulated world.

#include "daemon.hpp"
#include "support/record_head.hpp"
#include "world.hpp"

#include <utility>

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;
using core::Mode;

}  // namespace

void World::start_client(Client& client) {
    if (now_ >= end_) {
        client.state = Client::State::idle;
        return;
    }
    client.daemon = random_() % daemons_.size();
    if (!daemon(client.daemon).alive()) {
        after(100ms, [this, &client] { start_client(client); });
        return;
    }
    const auto lock = random_() % options_.locks;
    core::AcquireRequest request{*core::LockName::parse("lock" + std::to_string(lock))};
    request.ttl = {std::chrono::duration_cast<Milliseconds>(random(500ms, 3s))};
    request.wait = chance(0.7) ? Milliseconds{20'000} : Milliseconds{0};
    request.max_hold = chance(0.3) ? Milliseconds{5'000} : Milliseconds{0};
    request.owner = std::to_string(client.id);
    if (lock % 3 == 1) {
        request.access = chance(0.6) ? core::Access{Mode::shared} : core::Access{};
    } else if (lock % 3 == 2) {
        request.access = {Mode::permit, chance(0.7) ? 1U : 2U, 3};
    }
    if (chance(0.3)) {
        request.holder = SeededIds{random_}.next();
    }
    client.request = std::move(request);
    acquire(client);
}

void World::acquire(Client& client) {
    ++client.turn;
    client.state = Client::State::acquiring;
    client.sent_at = now_;
    client.grant.reset();
    client.incarnation = daemon(client.daemon).incarnation();
    note("client " + std::to_string(client.id) + " asks daemon " + std::to_string(client.daemon) +
         " for " + client.request.name.text() + " mode " +
         std::to_string(static_cast<int>(client.request.access.mode)) +
         (client.request.wait > Milliseconds{0} ? " and waits" : ""));
    const std::uint64_t turn = client.turn;
    const auto ticket = client.ticket = std::make_shared<core::LockManager::Ticket>(0);
    daemon(client.daemon).run([this, &client, turn, ticket](core::LockManager& manager) {
        core::AcquireRequest request = client.request;
        request.received_at = daemon(client.daemon).clock().now();
        if (client.turn == turn && request.wait > Milliseconds{0}) {
            checker_.waits(client.id, request, now_);
        }
        const auto on_index = client.daemon;
        *ticket = manager.acquire(
            std::move(request), [this, &client, turn, on_index](core::Result<core::Grant> answer) {
                auto shared = std::make_shared<core::Result<core::Grant>>(std::move(answer));
                if (client.turn != turn) {  // it has gone: as rpc does when its answer is lost
                    if (*shared) {
                        const core::Grant grant = **shared;
                        after(0s, [this, grant, on_index] {
                            daemon(on_index).run(
                                [grant](core::LockManager& own) { own.abandon(grant); });
                        });
                    }
                    return;
                }
                on_answer(client, std::move(*shared));
            });
    });
    if (chance(0.15)) {
        after(random(0s, chance(0.5) ? 4ms : 1s), [this, &client, turn] {
            if (client.turn == turn && client.state == Client::State::acquiring) {
                give_up(client);
            }
        });
    }
    // The wait, the time for resolving a lost reply, and a pause of the daemon.
    after(20s + 3s + 6s, [this, &client, turn] {
        if (client.turn == turn && client.state == Client::State::acquiring) {
            checker_.fail("L2: client " + std::to_string(client.id) + " waits too long");
        }
    });
}

// Their connections break: the clients of this daemon that wait for an answer hear of it.
void World::on_killed(std::size_t index) {
    for (Client& client : clients_) {
        if (client.daemon != index || client.state != Client::State::acquiring) {
            continue;
        }
        checker_.waits_no_more(client.id);
        const std::uint64_t turn = ++client.turn;
        client.state = Client::State::idle;
        after(random(1ms, 500ms), [this, &client, turn] {
            if (client.turn != turn) {
                return;
            }
            client.daemon = (client.daemon + 1) % daemons_.size();
            if (client.request.holder && daemon(client.daemon).alive()) {
                acquire(client);  // the same request_id, elsewhere
            } else {
                start_client(client);
            }
        });
    }
}

void World::give_up(Client& client) {
    const auto ticket = client.ticket;
    const bool same = daemon(client.daemon).incarnation() == client.incarnation;
    ++client.turn;
    checker_.waits_no_more(client.id);
    if (same) {
        daemon(client.daemon).run([ticket](core::LockManager& manager) {
            manager.cancel_acquire(*ticket);
        });
    }
    client.state = Client::State::idle;
    if (client.request.holder && chance(0.5) && daemon(client.daemon).alive()) {
        acquire(client);  // the same request_id once more
    } else {
        after(random(0s, 500ms), [this, &client] { start_client(client); });
    }
}

void World::on_answer(Client& client, core::Result<core::Grant> answer) {
    if (!answer) {
        checker_.waits_no_more(client.id);
        ++client.turn;
        client.state = Client::State::idle;
        after(random(0s, 300ms), [this, &client] { start_client(client); });
        return;
    }
    // As rpc::fill does: nothing that is over is told.
    const Daemon& home = daemon(client.daemon);
    const Milliseconds safe_for = core::remaining(home.clock().now(), answer->deadline());
    if (safe_for.count() == 0) {
        return give_up(client);
    }
    client.grant = *answer;
    client.state = Client::State::holding;
    const Instant until = client.clock->world_time_of(client.clock->now() + safe_for);
    note("client " + std::to_string(client.id) + " granted " + answer->lease.name.text() + " " +
         std::to_string(answer->lease.token.value % 1'000'000'000) + " mode " +
         std::to_string(static_cast<int>(answer->lease.access.mode)) + " by daemon " +
         std::to_string(client.daemon));
    client.believes_until = until;
    checker_.granted(client.id, answer->lease, now_, until);
    checker_.waits_no_more(client.id);
    const std::uint64_t turn = ++client.turn;
    if (chance(0.1)) {  // dies; nobody hears of it again
        after(until - now_, [this, &client, turn] {
            if (client.turn == turn) {
                checker_.stops(client.id);
                start_client(client);
            }
        });
        return;
    }
    hold(client, random(1ms, chance(options_.long_holds) ? 5s : 100ms));
}

// Works for so long, and renews meanwhile as a careful client does.
void World::hold(Client& client, Duration wants) {
    const std::uint64_t turn = client.turn;
    const Duration third = Duration{client.grant->ttl.value} / 3;
    const Duration step = std::min({wants, third, client.believes_until - now_});
    after(step, [this, &client, turn, left = wants - step] {
        if (client.turn != turn) {
            return;
        }
        if (left <= Duration{0} || now_ >= client.believes_until) {
            release(client);
            return;
        }
        renew(client);
        if (client.request.access.mode != Mode::permit && chance(0.2)) {
            convert(client);
        }
        hold(client, left);
    });
}

void World::renew(Client& client) {
    const std::uint64_t turn = client.turn;
    if (chance(0.3)) {
        client.daemon = random_() % daemons_.size();
    }
    const auto on_index = client.daemon;
    const Instant sent_at = now_;
    daemon(on_index).run([this, &client, turn, on_index, sent_at](core::LockManager& manager) {
        const Instant received_at = daemon(on_index).clock().now();
        manager.renew(client.grant->lease,
                      client.grant->ttl,
                      core::LockManager::CallTimes{received_at, received_at + 2s},
                      [this, &client, turn, on_index, sent_at, received_at](const auto& renewed) {
                          const Instant now = daemon(on_index).clock().now();
                          if (client.turn != turn || !renewed || renewed->deadline() <= now) {
                              return;
                          }
                          client.believes_until =
                              std::max(client.believes_until,
                                       told_until(client, sent_at, received_at, now, *renewed));
                          checker_.renewed(client.id, client.believes_until);
                      });
    });
}

// As the API says: its own send time + elapsed + safe_for, on its own clock.
Instant World::told_until(const Client& client,
                          Instant sent_at,
                          Instant received_at,
                          Instant now,
                          const core::Grant& grant) const {
    const Duration whole =
        core::remaining(received_at, now) + core::remaining(now, grant.deadline());
    return sent_at + (client.clock->world_time_of(client.clock->now() + whole) - now_);
}

// Asks for the other mode, at any daemon; goes on whatever comes of it.
void World::convert(Client& client) {
    const bool to_shared = client.grant->lease.access.mode == Mode::exclusive;
    const core::Lease lease = client.grant->lease;
    if (to_shared) {
        checker_.shares(client.id);
        client.grant->lease.access = core::Access{Mode::shared};
    }
    const std::uint64_t turn = client.turn;
    const auto on_index = random_() % daemons_.size();
    const Instant sent_at = now_;
    note("client " + std::to_string(client.id) + " wants " + lease.name.text() +
         (to_shared ? " shared, at daemon " : " exclusive, at daemon ") + std::to_string(on_index));
    daemon(on_index).run([=, this, &client](core::LockManager& manager) {
        const Instant received_at = daemon(on_index).clock().now();
        manager.convert(
            {lease,
             to_shared ? Mode::shared : Mode::exclusive,
             Milliseconds{chance(0.5) ? 0 : 1000},
             {received_at, received_at + 2s}},
            [=, this, &client](const auto& converted) {
                const Instant now = daemon(on_index).clock().now();
                if (client.turn != turn || !converted || converted->deadline() <= now) {
                    return;
                }
                ++conversions_;
                note("client " + std::to_string(client.id) + " has it in mode " +
                     std::to_string(static_cast<int>(converted->lease.access.mode)) + " by " +
                     std::to_string(converted->lease.token.value % 1'000'000'000));
                client.grant->lease = converted->lease;
                client.believes_until =
                    std::max(client.believes_until,
                             told_until(client, sent_at, received_at, now, *converted));
                checker_.converted(client.id, converted->lease, now_, client.believes_until);
            });
    });
}

// A lock must not be held for long by somebody who was never told.
void World::patrol() {
    for (const auto& [key, record] : redis_.keys()) {
        const test::RecordHead head{redis_.field(key, "l")};
        const bool knows =
            test::was_shared(redis_.field(key, "x"));  // the holder, who converted it
        if (redis_.field(key, "i").empty() || knows || head.expiry_us <= redis_time_us()) {
            continue;
        }
        const std::string token = std::to_string(head.token);
        if (seen_[key].first != token) {
            seen_[key] = {token, now_};
        }
        const bool told = checker_.told(key.substr(3), std::stoull(token));
        if (!told && now_ - seen_[key].second > 400ms && now_ > quiet_at_) {
            checker_.fail("P4: " + key + " is held, and nobody was told of its token " + token);
        }
    }
    after(100ms, [this] { patrol(); });
}

void World::release(Client& client) {
    note("client " + std::to_string(client.id) + " releases " + client.grant->lease.name.text());
    checker_.stops(client.id);
    const std::uint64_t turn = ++client.turn;
    client.state = Client::State::releasing;
    if (chance(0.3)) {
        client.daemon = random_() % daemons_.size();
    }
    const auto next = [this, &client, turn] {
        if (client.turn == turn) {
            ++client.turn;
            start_client(client);
        }
    };
    daemon(client.daemon).run([this, &client, turn, next](core::LockManager& manager) {
        manager.release(
            client.grant->lease,
            core::kNever,
            [this, &client, turn, next](const core::Result<core::Released>& released) {
                const bool honest =
                    !released || released->verdict == core::Verdict::held_throughout;
                if (client.turn == turn && now_ < client.believes_until && !honest) {
                    checker_.fail("release: client " + std::to_string(client.id) +
                                  " held all the time and hears otherwise: verdict " +
                                  std::to_string(static_cast<int>(released->verdict)) + ", newer " +
                                  std::to_string(released->newer.value % 1'000'000'000));
                }
                next();
            });
    });
    after(20s, next);  // a daemon that was killed does not answer
}

}  // namespace holdfast::sim
