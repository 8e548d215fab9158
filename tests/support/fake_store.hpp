#pragma once

// The real adapter with its real scripts over a Redis in memory, for tests that decide the fate of
// each command. Nothing is answered before deliver().

#include "redis/client.hpp"
#include "store/redis_lock_store.hpp"
#include "support/lua_redis.hpp"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace holdfast::test {

enum class Fate {
    answer,        // executed and answered
    refuse,        // not_executed
    lose_request,  // unknown; never executed
    lose_reply,    // executed, but unknown to the caller
    late,          // unknown; executed by run_late()
};

// A connection whose commands meet the fates that a test has chosen.
class FatefulClient : public redis::Client {
public:
    explicit FatefulClient(LuaRedis& redis) : redis_(redis) {}

    std::deque<Fate> fates;  // of the next commands; when used up, `usual`
    Fate usual = Fate::answer;

    // Decides every command that was given so far, and those that are given meanwhile.
    void deliver();
    void run_late();
    std::size_t pending() const { return pending_.size(); }

    std::map<std::string, int> calls;      // by script
    std::vector<std::size_t> renew_sizes;  // leases in each renew
    std::vector<std::string> acquired_by;  // owners of exclusive leases, in the order of the grants

    void send(std::size_t affinity, redis::Command command) override;

private:
    redis::Reply execute(const std::vector<std::string>& arguments);

    LuaRedis& redis_;
    std::deque<absl::AnyInvocable<void()>> pending_;
    std::vector<std::function<void()>> late_;
};

class FakeStore final : public FatefulClient, public store::RedisLockStore {
public:
    // Of a daemon whose station has this name, 8 bytes. Several may share one `redis`.
    FakeStore(LuaRedis& redis,
              const core::Clock& clock,
              const std::string& station = "station1",
              store::Coexistence coexistence = {});

    bool held(const std::string& name);
    core::Instant expiry(const std::string& name);
    // Somebody else takes the lock, or what was there ends, without a word to anybody.
    void take_by_other(const std::string& name, core::Duration for_how_long);
    void free(const std::string& name);

private:
    LuaRedis& redis_;
    const core::Clock& clock_;
};

// What TIME says: the test's clock.
std::function<std::int64_t()> time_of(const core::Clock& clock);

}  // namespace holdfast::test
