#pragma once

// A LockManager over the in-memory store, with time and fate in the test's hands.

#include "core/lock_manager.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"
#include "support/no_feed.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::core {

class CountedIds final : public HolderIdSource {
public:
    HolderId next() override {
        HolderId id;
        id.bytes.fill('i');
        ++count_;
        std::copy_n(reinterpret_cast<const char*>(&count_), sizeof(count_), id.bytes.begin());
        return id;
    }

private:
    std::uint32_t count_ = 0;
};

class RecordingObserver final : public Observer {
public:
    void lease_at_risk(const Lease&, std::string_view) override { ++at_risk; }
    void lease_recovered(const Lease&) override { ++recovered; }
    void lease_lost(const Lease&, LossCause cause) override { lost.push_back(cause); }
    void outcome_unknown(const LockName&) override { ++unknown; }

    int at_risk = 0;
    int recovered = 0;
    int unknown = 0;
    std::vector<LossCause> lost;
};

// A stream that remembers what it was told of its lease.
class RecordingListener final : public LeaseListener {
public:
    bool listens() const override { return open; }
    void renewed(Instant) override { ++renewals; }
    void anchored(Instant, Ttl, Instant) override {}
    void converted(const Lease& lease, Instant) override { now = lease; }
    void at_risk(Instant, std::string_view) override { ++at_risks; }
    void recovered(Instant) override {}
    void revoke_requested(Instant until, std::string_view) override { yield_by.push_back(until); }
    void lost(LossCause cause, std::string_view) override { losses.push_back(cause); }
    void released(const Released& released) override { releases.push_back(released.verdict); }
    void moving(Instant) override {}

    bool open = true;
    int renewals = 0;
    int at_risks = 0;
    std::optional<Lease> now;  // since its last conversion
    std::vector<Instant> yield_by;
    std::vector<LossCause> losses;
    std::vector<Verdict> releases;
};

class CoreTest : public testing::Test {
protected:
    using Answer = std::optional<Result<Grant>>;

    CoreTest() = default;
    explicit CoreTest(store::Coexistence coexistence)
        : store_{redis_, clock_, "station1", std::move(coexistence)} {}

    static LockName name_of(const std::string& text) { return *LockName::parse(text); }

    AcquireRequest request(const std::string& name, const std::string& owner = "me") {
        AcquireRequest asked{name_of(name)};
        asked.ttl = Ttl{Milliseconds{1000}};
        asked.owner = owner;
        asked.received_at = clock_.now();
        return asked;
    }

    AcquireRequest waiting(const std::string& name,
                           const std::string& owner,
                           Milliseconds wait = std::chrono::seconds{60}) {
        AcquireRequest asked = request(name, owner);
        asked.wait = wait;
        return asked;
    }

    std::shared_ptr<Answer> acquire(AcquireRequest asked) {
        auto answer = std::make_shared<Answer>();
        last_ticket_ = manager_.acquire(std::move(asked), [this, answer](Result<Grant> result) {
            EXPECT_FALSE(*answer) << "answered twice";
            if (result) {
                EXPECT_GT(result->deadline(), clock_.now()) << "said to be held past its deadline";
            }
            *answer = std::move(result);
        });
        return answer;
    }

    // A grant that cannot fail.
    Grant hold(AcquireRequest asked) {
        const auto answer = acquire(std::move(asked));
        store_.deliver();
        EXPECT_TRUE(*answer && **answer);
        return ***answer;
    }
    Grant hold(const std::string& name, Milliseconds max_hold = Milliseconds{0}) {
        AcquireRequest asked = request(name);
        asked.max_hold = max_hold;
        return hold(std::move(asked));
    }

    // Time passes in small steps; the store answers at once unless told otherwise.
    void pass(Duration time, bool deliver = true) {
        const Instant end = clock_.now() + time;
        if (deliver) {
            store_.deliver();
        }
        while (clock_.now() < end) {
            clock_.set(std::min(end, std::max(timers_.next(), clock_.now() + Duration{1})));
            timers_.fire(clock_.now());
            if (deliver) {
                store_.deliver();
            }
        }
    }

    static bool failed_with(const Answer& answer, Reason reason) {
        return answer && !*answer && answer->error().reason == reason;
    }

    test::ManualClock clock_;
    TimerQueue timers_;
    test::LuaRedis redis_{test::time_of(clock_)};
    test::FakeStore store_{redis_, clock_};
    CountedIds ids_;
    RecordingObserver observer_;
    test::NoFeed feed_;
    LockManager manager_{
        clock_, timers_, store_, ids_, observer_, feed_, {.max_waiters_per_lock = 100}};
    LockManager::Ticket last_ticket_ = 0;
};

}  // namespace holdfast::core
