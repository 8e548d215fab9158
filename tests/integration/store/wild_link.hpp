#pragma once

// What can go wrong by chance or on purpose: links that lose, delay and refuse, scripts with other text in
// them, a clock that stands still, ids that come again.

#include "quorum_fixture.hpp"
#include "store/script.hpp"

#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::store {

// Puts other texts in a script, on its way.
struct Tampering {
    std::string_view script;
    std::vector<std::pair<std::string, std::string>> what;  // from, to

    std::string changed() const {
        std::string text{script};
        for (const auto& [from, to] : what) {
            const auto at = text.find(from);
            EXPECT_NE(at, std::string::npos) << from;
            text.replace(at, from.size(), to);
        }
        return text;
    }
};

// A link to a node that does what it likes: by a seed.
class WildLink final : public redis::Client {
public:
    struct Odds {
        int refuse = 0;  // per cent
        int lose_request = 0;
        int lose_reply = 0;
        int delay = 0;
        std::chrono::milliseconds least{0};
        std::chrono::milliseconds most{0};
    };
    WildLink(Stage& stage, redis::Client& to, Odds odds, unsigned seed)
        : stage_(stage), to_(to), odds_(odds), random_(seed) {}

    void tamper(const Tampering& how) {
        const std::string changed = how.changed();
        sources_[std::string{how.script}] = changed;
        shas_[Script{how.script}.sha()] = Script{sources_[std::string{how.script}]}.sha();
    }
    void go_wild(Odds odds) { odds_ = odds; }
    void calm() { odds_ = {}; }

    // Keeps back what calls this script, until let_go().
    void hold(std::string_view script) { holds_ = Script{script}.sha(); }
    std::size_t held() const { return held_.size(); }
    void let_go() {
        holds_.clear();
        for (auto& [affinity, command] : std::exchange(held_, {})) {
            send(affinity, std::move(command));
        }
    }

    void send(std::size_t affinity, redis::Command command) override {
        if (!holds_.empty() && command.wire.find(holds_) != std::string::npos) {
            held_.emplace_back(affinity, std::move(command));
            return;
        }
        for (const auto& [from, to] : shas_) {
            if (const auto at = command.wire.find(from); at != std::string::npos) {
                command.wire.replace(at, from.size(), to);
            }
        }
        for (const auto& [from, to] : sources_) {
            const std::string was = "$" + std::to_string(from.size()) + "\r\n" + from;
            if (const auto at = command.wire.find(was); at != std::string::npos) {
                command.wire.replace(at, was.size(), "$" + std::to_string(to.size()) + "\r\n" + to);
            }
        }
        if (chance(odds_.refuse)) {
            after(0ms, [done = std::move(command.done)]() mutable {
                done(redis::Failure::refused_disconnected);
            });
            return;
        }
        if (chance(odds_.lose_request)) {
            lose(std::move(command));
            return;
        }
        if (chance(odds_.lose_reply)) {
            redis::Command sent{command.wire, command.timeout, [](const auto&) {}, {}};
            lose(std::move(command));
            pass_on(affinity, std::move(sent));
            return;
        }
        pass_on(affinity, std::move(command));
    }

private:
    bool chance(int per_cent) {
        return std::uniform_int_distribution<int>{0, 99}(random_) < per_cent;
    }
    void lose(redis::Command command) {
        after(odds_.most + 20ms, [done = std::move(command.done)]() mutable {
            done(redis::Failure::unknown_timeout);
        });
    }
    void pass_on(std::size_t affinity, redis::Command command) {
        if (!chance(odds_.delay)) {
            to_.send(affinity, std::move(command));
            return;
        }
        const std::chrono::milliseconds by{std::uniform_int_distribution<int>{
            static_cast<int>(odds_.least.count()), static_cast<int>(odds_.most.count())}(random_)};
        after(by, [this, affinity, command = std::move(command)]() mutable {
            to_.send(affinity, std::move(command));
        });
    }
    void after(std::chrono::milliseconds time, absl::AnyInvocable<void()> what) {
        auto timer = std::make_shared<boost::asio::steady_timer>(stage_.context, time);
        timer->async_wait(
            [timer, what = std::move(what), alive = std::weak_ptr{alive_}](auto error) mutable {
                if (!error && !alive.expired()) {
                    what();
                }
            });
    }

    std::shared_ptr<bool> alive_ = std::make_shared<bool>();
    Stage& stage_;
    redis::Client& to_;
    Odds odds_;
    std::mt19937 random_;
    std::map<std::string, std::string> shas_;
    std::map<std::string, std::string> sources_;
    std::string holds_;  // sha of a script; empty: nothing
    std::vector<std::pair<std::size_t, redis::Command>> held_;
};

// Stands still, so that nothing is ever too late.
class StoppedClock final : public core::Clock {
public:
    core::Instant now() const noexcept override { return core::Instant{std::chrono::hours{1}}; }
};

// The same nonce again and again.
class OneId final : public core::HolderIdSource {
public:
    explicit OneId(char letter) { id_.bytes.fill(letter); }
    core::HolderId next() override { return id_; }

private:
    core::HolderId id_;
};

}  // namespace holdfast::store
