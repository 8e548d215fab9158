#pragma once

// For the tests of connections to a real Redis.

#include "redis/pool.hpp"
#include "support/process.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::redis {

using namespace std::chrono_literals;
using test::eventually;

// A pool on a loop that the test turns.
class Loop {
public:
    explicit Loop(Settings settings) : pool_(context_, quick(std::move(settings)), [](bool) {}) {
        pool_.start();
    }
    ~Loop() {
        pool_.stop();
        context_.restart();
        context_.poll();
    }

    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds most = 10s) {
        return eventually(
            [&] {
                context_.restart();
                context_.poll();
                return condition();
            },
            most);
    }
    bool run_until_up() {
        return run_until([this] { return pool_.status().up > 0; });
    }

    struct Answer {
        int count = 0;
        std::string text;  // the reply, or the failure
        bool refused = false;
        bool unknown = false;
        std::string late;
    };
    std::shared_ptr<Answer> send(const std::vector<std::string_view>& words,
                                 std::chrono::milliseconds timeout = 5s,
                                 std::size_t affinity = 0) {
        auto answer = std::make_shared<Answer>();
        pool_.send(affinity,
                   {format_command(words),
                    timeout,
                    [answer](Outcome outcome) {
                        ++answer->count;
                        if (auto* reply = std::get_if<Reply>(&outcome)) {
                            answer->text = (*reply)->is_integer()
                                               ? std::to_string((*reply)->integer())
                                               : std::string{(*reply)->text()};
                        } else {
                            answer->refused = is_refused(std::get<Failure>(outcome));
                            answer->unknown = !answer->refused;
                        }
                    },
                    [answer](const Reply& reply) { answer->late = reply->text(); }});
        return answer;
    }
    std::string ask(const std::vector<std::string_view>& words, std::size_t affinity = 0) {
        const auto answer = send(words, 5s, affinity);
        EXPECT_TRUE(run_until([&] { return answer->count > 0; }));
        return answer->text;
    }
    Pool& pool() { return pool_; }

private:
    static Settings quick(Settings settings) {
        settings.backoff_min = 5ms;
        settings.backoff_max = 20ms;
        return settings;
    }
    boost::asio::io_context context_{1};
    Pool pool_;
};

inline Settings tcp(int port) {
    Settings settings;
    settings.port = static_cast<std::uint16_t>(port);
    return settings;
}

}  // namespace holdfast::redis
