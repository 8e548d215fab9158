#pragma once

// What the tests of the promises have in common: one Redis, two daemons on it, the second through a
// gate, and what must be true at the end.

#include "fixture.hpp"
#include "history.hpp"
#include "mixed_load.hpp"
#include "support/tcp_gate.hpp"

#include <algorithm>
#include <thread>

namespace holdfast::e2e {

class Promises : public testing::Test {
protected:
    // Leases of up to 6 s, so that Redis' memory counts as complete again 6.6 s after a loss.
    static std::map<std::string, std::string> limits() {
        return {{"HOLDFAST_LIMITS_MAX_TTL", "6s"}, {"HOLDFAST_LIMITS_DEFAULT_TTL", "1s"}};
    }

    MixedLoad::Options options() const {
        MixedLoad::Options options;
        options.seed = static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed());
        return options;
    }
    std::vector<std::string> daemons() const { return {one_.address(), two_.address()}; }

    // Lets things go on.
    static void during(std::chrono::milliseconds time) {
        const auto end = Steady::now() + time;
        eventually([&] { return Steady::now() >= end; }, 60s);
    }

    // Daemon two stands still, longer than leases of a second last in Redis.
    void pause_two(History& history) {
        const auto from = Steady::now();
        two_.process().stop();
        during(1500ms);
        two_.process().resume();
        history.add(Pause{1, from, Steady::now()});
    }

    // After a loss of Redis' memory, without anybody's help.
    void expect_service_again() {
        Client client{one_.address()};
        EXPECT_TRUE(eventually([&] { return client.acquire("free", 1s, 10s).ok(); }, 30s));
        client.release(client.lease.lease_id());
    }

    static void expect_none(const char* what, const History::Problems& problems) {
        EXPECT_TRUE(problems.empty()) << problems.size() << " problems: " << what;
        for (std::size_t i = 0; i < std::min<std::size_t>(problems.size(), 5); ++i) {
            ADD_FAILURE() << what << ": " << problems[i];
        }
    }

    // Ends the load, and checks what must be true whatever happened.
    void expect_safe(MixedLoad& load) {
        load.stop();
        std::cout << load.summary() << '\n';
        expect_none("exclusion and tokens", load.history.problems());
        // Beyond the wait: a lost reply is asked after for 3 s, and a last command may take 1 s.
        expect_none("answers", load.history.late_answers(8s));
        expect_nothing_left();
    }

    // Soon no record has a live holder or ticket, none stays for good, and nothing is under way.
    void expect_nothing_left() {
        std::string left;
        EXPECT_TRUE(eventually([&] { return (left = who_is_left()) == "nobody"; }, 20s)) << left;
        for (const Daemon* daemon : {&one_, &two_}) {
            EXPECT_TRUE(daemon->wait_serving());
            for (const char* what : {"leases", "acquires_pending", "cleanups_pending"}) {
                const std::string name = std::string{"holdfast_"} + what;
                EXPECT_TRUE(eventually([&] { return daemon->sample(name) == 0; }, 20s)) << name;
            }
        }
    }

    // By what stands in Redis: see src/store/lua/_head.lua, _crowd.lua and _queue.lua.
    std::string who_is_left() const {
        return redis_.run({"EVAL",
                           R"(
            local time = redis.call('TIME')
            local now = time[1] * 1000000 + time[2]
            for _, key in ipairs(redis.call('KEYS', 'hf:*')) do
                if redis.call('PTTL', key) < 0 then return key .. ' has no ttl' end
                local fields = redis.call('TYPE', key).ok == 'hash' and redis.call('HGETALL', key) or {}
                local of = {}
                for at = 1, #fields, 2 do
                    of[fields[at]] = fields[at + 1]
                    if #fields[at] == 17 and string.sub(fields[at], 1, 1) == 'h'
                        and tonumber(string.sub(fields[at + 1], 1, 16)) > now then
                        return key .. ' has a shared holder'
                    end
                end
                if (of.i or '') ~= '' and tonumber(string.sub(of.l, 19, 34)) > now then return key .. ' has a holder' end
                for at = 1, #(of.q or ''), 80 do
                    if tonumber(string.sub(of.q, at + 64, at + 79)) > now then
                        return key .. ' has a ticket'
                    end
                end
            end
            return 'nobody')",
                           "0"});
    }

    std::string gated_store() const { return "redis://127.0.0.1:" + std::to_string(gate_.port()); }

    test::RedisProcess redis_;
    test::TcpGate gate_{redis_.port()};
    Daemon one_{{"--store", redis_.url()}, limits()};
    Daemon two_{{"--store", gated_store()}, limits()};
};

}  // namespace holdfast::e2e
