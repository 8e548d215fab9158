#pragma once

// A RedisLockStore on a Redis of the test's own, driven by the test's thread.

#include "redis/pool.hpp"
#include "store/redis_lock_store.hpp"
#include "support/redis_process.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace holdfast::store {

using namespace std::chrono_literals;

// A pool and a store over it, on a loop that runs while somebody waits.
class Side {
public:
    // Of a command: a machine may stand still for a second or two.
    static constexpr auto kTimeout = 4s;

    explicit Side(const redis::Settings& settings,
                  RedisLockStore::Options options = {.station = "station1"})
        : pool(context,
               settings,
               [this](const redis::ServerInfo* server) {
                   if (server != nullptr) {
                       store.canary().connected_to(*server);
                   }
               }),
          store(pool, clock, as_new(std::move(options))) {
        pool.start();
        EXPECT_TRUE(run_until([this] { return store.canary().watches(); }))
            << pool.status().last_error;
    }
    ~Side() {
        pool.stop();
        context.restart();
        context.poll();
    }

    // These stores are empty because they are new.
    static RedisLockStore::Options as_new(RedisLockStore::Options options) {
        options.canary.assume_new = true;
        return options;
    }

    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds most = 10s) {
        return test::eventually(
            [&] {
                context.restart();
                context.poll();
                return condition();
            },
            most);
    }

    // Starts a call by `start(done)` and waits for its answer.
    template <class Answer, class Start>
    core::StoreResult<Answer> call(Start start) {
        std::optional<core::StoreResult<Answer>> answer;
        start(core::StoreDone<Answer>{[&](core::StoreResult<Answer> got) {
            EXPECT_FALSE(answer) << "answered twice";
            answer = std::move(got);
        }});
        EXPECT_TRUE(run_until([&] { return answer.has_value(); })) << "no answer";
        return answer ? *std::move(answer)
                      : core::StoreResult<Answer>{tl::unexpected(core::StoreError{})};
    }

    core::StoreResult<core::AcquireAnswer> acquire(const std::string& name,
                                                   char holder,
                                                   std::chrono::milliseconds ttl = 10s,
                                                   std::chrono::milliseconds timeout = kTimeout,
                                                   char by = 0) {
        return call<core::AcquireAnswer>([&](auto done) {
            store.acquire({lock(name), want(holder, ttl, by), timeout}, std::move(done));
        });
    }
    core::Want want(char holder, std::chrono::milliseconds ttl = 10s, char by = 0) {
        return {.holder = id(holder),
                .call = id(by == 0 ? holder : by),
                .ttl = {ttl},
                .arrival = clock.now(),
                .owner = "owner",
                .metadata = "meta"};
    }
    // The token of a grant that cannot fail.
    core::FencingToken grant(const std::string& name,
                             char holder,
                             std::chrono::milliseconds ttl = 10s) {
        const auto answer = acquire(name, holder, ttl);
        EXPECT_TRUE(answer && std::holds_alternative<core::Granted>(*answer))
            << (answer ? "not granted" : answer.error().message);
        return answer && std::holds_alternative<core::Granted>(*answer)
                   ? std::get<core::Granted>(*answer).token
                   : core::FencingToken{};
    }
    using Ended = std::variant<core::Released, core::NoSuchLease>;
    core::StoreResult<Ended> release(const std::string& name,
                                     char holder,
                                     core::FencingToken token) {
        return call<core::ReleaseAnswer>([&](auto done) {
                   store.release(lease(name, holder, token), {}, kTimeout, std::move(done));
               })
            .map([](const core::ReleaseAnswer& answer) { return answer.ended; });
    }
    core::RenewAnswer renew(const std::string& name,
                            char holder,
                            core::FencingToken token,
                            std::chrono::milliseconds ttl = 10s) {
        const core::RenewCommand command{lease(name, holder, token), {ttl}};
        const auto answers = call<std::vector<core::RenewAnswer>>([&](auto done) {
            store.renew(std::span{&command, 1}, kTimeout, std::move(done));
        });
        EXPECT_TRUE(answers) << answers.error().message;
        return answers ? answers->front() : core::RenewAnswer{};
    }
    void cancel(const std::string& name, char holder, char by = 0) {
        EXPECT_TRUE(call<std::monostate>([&](auto done) {
            store.cancel(
                lock(name), id(holder), id(by == 0 ? holder : by), kTimeout, std::move(done));
        }));
    }
    core::StoreResult<std::optional<core::LockState>> inspect(const std::string& name) {
        return call<std::optional<core::LockState>>(
            [&](auto done) { store.inspect(lock(name), kTimeout, std::move(done)); });
    }
    core::StoreResult<core::LockPage> list(const std::string& prefix,
                                           const std::string& from = "",
                                           std::size_t limit = 100) {
        return call<core::LockPage>(
            [&](auto done) { store.list(prefix, from, limit, kTimeout, std::move(done)); });
    }

    static core::LockName lock(const std::string& name) { return *core::LockName::parse(name); }
    static core::HolderId id(char letter) {
        core::HolderId holder;
        holder.bytes.fill(letter);
        return holder;
    }
    static core::Lease lease(const std::string& name, char holder, core::FencingToken token) {
        return {lock(name), id(holder), token};
    }

    core::SystemClock clock;
    boost::asio::io_context context{1};
    redis::Pool pool;
    RedisLockStore store;
};

inline redis::Settings settings_of(const test::RedisProcess& redis) {
    return *redis::parse_url(redis.url());
}

class StoreTest : public testing::Test {
protected:
    test::RedisProcess redis_;
    Side side_{settings_of(redis_)};
};

}  // namespace holdfast::store
