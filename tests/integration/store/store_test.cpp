#include "store_fixture.hpp"
#include "support/record_head.hpp"

#include <cstring>
#include <set>

namespace holdfast::store {
namespace {

using core::Busy;
using core::Closed;
using core::FencingToken;
using core::NoSuchLease;
using core::Released;
using core::StoreFailure;
using core::Verdict;

Verdict verdict_of(const core::StoreResult<Side::Ended>& answer) {
    return std::get<Released>(*answer).verdict;
}

TEST_F(StoreTest, GrantsOnceAndTellsTheSecondWhoHasIt) {
    const FencingToken token = side_.grant("a", 'x');
    EXPECT_GT(token.value, 1'700'000'000'000'000U);  // Redis' TIME in microseconds
    const auto second = side_.acquire("a", 'y');
    const Busy& busy = std::get<Busy>(*second);
    EXPECT_EQ(busy.holder.owner, "owner");
    EXPECT_EQ(busy.holder.token, token);
    EXPECT_LE(busy.holder.expires_in, core::store_hold({10s}));
    EXPECT_GT(busy.holder.expires_in, 10s);
}

TEST_F(StoreTest, TheSameHolderGetsTheSameTokenAndTheExpiryAnew) {
    const FencingToken token = side_.grant("a", 'x', 1s);
    EXPECT_EQ(side_.grant("a", 'x', 20s), token);
    EXPECT_GT((*side_.inspect("a"))->holders.at(0).summary.expires_in, 15s);
    EXPECT_EQ(side_.grant("a", 'x', 1s), token);  // and never back
    EXPECT_GT((*side_.inspect("a"))->holders.at(0).summary.expires_in, 15s);
}

TEST_F(StoreTest, ALeaseEndsAndTheNextTokenIsGreater) {
    const FencingToken first = side_.grant("a", 'x', 100ms);
    FencingToken second;
    EXPECT_TRUE(test::eventually([&] {
        const auto answer = side_.acquire("a", 'y');
        const auto* granted = std::get_if<core::Granted>(&*answer);
        second = granted != nullptr ? granted->token : FencingToken{};
        return granted != nullptr;
    }));
    EXPECT_GT(second, first);
}

TEST_F(StoreTest, ReleaseVerdicts) {
    const FencingToken held = side_.grant("a", 'x');
    EXPECT_EQ(verdict_of(side_.release("a", 'x', held)), Verdict::held_throughout);
    EXPECT_EQ(verdict_of(side_.release("a", 'x', held)), Verdict::held_throughout) << "a retry";

    const FencingToken next = side_.grant("a", 'y');
    EXPECT_EQ(verdict_of(side_.release("a", 'x', held)), Verdict::held_throughout)
        << "a retry, after the next grant";
    EXPECT_TRUE(side_.renew("a", 'y', next).renewed) << "and it did not end the next lease";

    const FencingToken expired = side_.grant("b", 'x', 100ms);
    EXPECT_TRUE(test::eventually([&] { return (*side_.inspect("b"))->holders.empty(); }));
    EXPECT_EQ(verdict_of(side_.release("b", 'x', expired)), Verdict::already_expired);

    const FencingToken lost = side_.grant("c", 'x', 100ms);
    EXPECT_TRUE(test::eventually([&] { return (*side_.inspect("c"))->holders.empty(); }));
    const FencingToken newer = side_.grant("c", 'y');
    const auto answer = side_.release("c", 'x', lost);
    EXPECT_EQ(verdict_of(answer), Verdict::superseded);
    EXPECT_EQ(std::get<Released>(*answer).newer, newer);
}

TEST_F(StoreTest, ForgedLeasesEndNothing) {
    const FencingToken token = side_.grant("a", 'x');
    EXPECT_TRUE(std::holds_alternative<NoSuchLease>(*side_.release("a", 'f', token)));
    EXPECT_TRUE(std::holds_alternative<NoSuchLease>(
        *side_.release("a", 'x', FencingToken{token.value + 1})));
    EXPECT_TRUE(std::holds_alternative<NoSuchLease>(*side_.release("never", 'x', token)));
    EXPECT_FALSE(side_.renew("a", 'f', token).renewed);
    EXPECT_FALSE(side_.renew("a", 'x', FencingToken{token.value + 1}).renewed);
    EXPECT_TRUE(side_.renew("a", 'x', token).renewed);
}

TEST_F(StoreTest, RenewNeverRevivesAndNeverShortens) {
    const FencingToken token = side_.grant("a", 'x', 20s);
    EXPECT_TRUE(side_.renew("a", 'x', token, 1s).renewed);
    EXPECT_GT((*side_.inspect("a"))->holders.at(0).summary.expires_in, 15s);

    const FencingToken brief = side_.grant("b", 'x', 100ms);
    EXPECT_TRUE(test::eventually([&] { return (*side_.inspect("b"))->holders.empty(); }));
    const auto answer = side_.renew("b", 'x', brief);
    EXPECT_FALSE(answer.renewed);
    EXPECT_EQ(answer.newest, brief);
    EXPECT_EQ(side_.renew("none", 'x', brief).newest.value, 0U);
}

TEST_F(StoreTest, ManyRenewalsInOneCommand) {
    std::vector<core::RenewCommand> commands;
    for (int i = 0; i < 128; ++i) {
        const std::string name = "lock " + std::to_string(i);
        const FencingToken token = i % 2 == 0 ? side_.grant(name, 'x') : FencingToken{7};
        commands.push_back({Side::lease(name, 'x', token), {10s}});
    }
    const auto answers = side_.call<std::vector<core::RenewAnswer>>(
        [&](auto done) { side_.store.renew(commands, 1s, std::move(done)); });
    ASSERT_TRUE(answers);
    for (std::size_t i = 0; i < 128; ++i) {
        EXPECT_EQ((*answers)[i].renewed, i % 2 == 0) << i;
    }
}

TEST_F(StoreTest, ACancelEndsAndClosesForGood) {
    side_.grant("a", 'x');
    side_.cancel("a", 'x');
    EXPECT_TRUE((*side_.inspect("a"))->holders.empty());
    EXPECT_TRUE(std::holds_alternative<Closed>(*side_.acquire("a", 'x')));
    side_.grant("a", 'y');
    side_.cancel("a", 'x');  // again: no effect on the next
    EXPECT_FALSE((*side_.inspect("a"))->holders.empty());

    side_.cancel("fresh", 'x');  // before its acquire arrives
    EXPECT_TRUE(std::holds_alternative<Closed>(*side_.acquire("fresh", 'x')));
    EXPECT_NE(redis_.run({"PTTL", "hf:fresh"}), "-1");
}

TEST_F(StoreTest, ACancelDoesNotEndWhatARetryWasTold) {
    const auto claim = [&](char call) { return side_.acquire("a", 'x', 10s, 1s, call); };
    ASSERT_TRUE(std::holds_alternative<core::Granted>(*claim('1')));
    ASSERT_TRUE(std::holds_alternative<core::Granted>(*claim('2')));
    side_.cancel("a", 'x', '1');
    EXPECT_FALSE((*side_.inspect("a"))->holders.empty()) << "call 2 may believe in it";
    EXPECT_TRUE(std::holds_alternative<Closed>(*claim('1'))) << "a late copy";
    EXPECT_TRUE(std::holds_alternative<core::Granted>(*claim('2')));

    // The copy of call 1 comes after call 2, and then the cancel.
    ASSERT_TRUE(std::holds_alternative<core::Granted>(*side_.acquire("b", 'x', 10s, 1s, '2')));
    ASSERT_TRUE(std::holds_alternative<core::Granted>(*side_.acquire("b", 'x', 10s, 1s, '1')));
    side_.cancel("b", 'x', '1');
    EXPECT_FALSE((*side_.inspect("b"))->holders.empty());

    // Nobody else claimed it: it ends, and a retry gets a new lease.
    const auto first = side_.acquire("c", 'x', 10s, 1s, '1');
    side_.cancel("c", 'x', '1');
    EXPECT_TRUE((*side_.inspect("c"))->holders.empty());
    const auto second = side_.acquire("c", 'x', 10s, 1s, '2');
    EXPECT_GT(std::get<core::Granted>(*second).token, std::get<core::Granted>(*first).token);
}

TEST_F(StoreTest, ACommandThatRunsLateDoesNothing) {
    side_.grant("warm up", 'x');  // so that Redis' clock is known
    redis_.process().stop();
    const auto answer = side_.acquire("a", 'x', 10s, 200ms);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().failure, StoreFailure::unknown);
    redis_.process().resume();  // now it reads and runs the command
    EXPECT_TRUE(side_.run_until([&] { return side_.pool.status().commands.late_replies == 1; }));
    EXPECT_FALSE(*side_.inspect("a"));
}

TEST_F(StoreTest, ForeignKeysAreConflictsNotErrors) {
    redis_.run({"SET", "hf:string", "1"});
    redis_.run({"LPUSH", "hf:list", "1"});
    redis_.run({"HSET", "hf:hash", "some", "thing"});
    redis_.run({"HSET", "hf:future", "l", "9" + test::RecordHead{}.text().substr(1)});
    redis_.run({"HSET", "hf:damaged", "l", "1x" + std::string(56, 'a')});
    redis_.run({"HSET", "hf:short", "l", "1x12"});
    redis_.run({"HSET", "hf:rare", "l", test::RecordHead{}.text(), "x", "1 2"});
    test::RecordHead huge;
    huge.token = 9007199254740991;
    redis_.run({"HSET", "hf:huge", "l", huge.text()});
    for (const char* name :
         {"string", "list", "hash", "future", "damaged", "short", "rare", "huge"}) {
        const auto acquired = side_.acquire(name, 'x');
        ASSERT_FALSE(acquired) << name;
        EXPECT_EQ(acquired.error().failure, StoreFailure::mode_conflict) << name;
        EXPECT_EQ(side_.release(name, 'x', {5}).error().failure, StoreFailure::mode_conflict);
        EXPECT_EQ(side_.inspect(name).error().failure, StoreFailure::mode_conflict) << name;
        EXPECT_FALSE(side_.renew(name, 'x', {5}).renewed);
        side_.cancel(name, 'x');
    }
    EXPECT_TRUE(side_.list("")->locks.empty());
    EXPECT_EQ(redis_.run({"GET", "hf:string"}), "1");
}

TEST_F(StoreTest, TokensGoUpWhateverRedisForgets) {
    Side async{settings_of(redis_), {.canary = {.async = true}, .station = "station2"}};
    FencingToken last = async.grant("a", 'x');
    const auto goes_up = [&] {
        FencingToken next;
        EXPECT_TRUE(test::eventually([&] {
            const auto answer = async.acquire("a", 'x');
            const auto* granted = answer ? std::get_if<core::Granted>(&*answer) : nullptr;
            next = granted != nullptr ? granted->token : FencingToken{};
            return granted != nullptr;
        }));
        EXPECT_GT(next, last);
        last = next;
    };
    redis_.run({"FLUSHALL"});
    goes_up();
    redis_.restart_empty();
    goes_up();
}

TEST_F(StoreTest, TheFloorHoldsEvenIfRedisClockGoesBack) {
    // A record from a clock far ahead stands for Redis having lost it and its clock gone back.
    test::RecordHead ahead;
    ahead.token = side_.grant("a", 'x').value + 3'600'000'000;
    redis_.run({"HSET", "hf:b", "l", ahead.text()});
    const FencingToken high = side_.grant("b", 'x');
    EXPECT_EQ(high.value, ahead.token + 1);
    redis_.run({"DEL", "hf:b"});
    EXPECT_GT(side_.grant("b", 'y'), high);
}

TEST_F(StoreTest, TokensKeepTheirDigitsInTheRecord) {
    const FencingToken token = side_.grant("a", 'x');
    EXPECT_EQ(test::RecordHead{redis_.run({"HGET", "hf:a", "l"})}.token, token.value);
}

TEST_F(StoreTest, SurvivesScriptFlush) {
    side_.grant("a", 'x');
    for (int i = 0; i < 20; ++i) {
        redis_.run({"SCRIPT", "FLUSH"});
        const std::string name = "lock " + std::to_string(i);
        const FencingToken token = side_.grant(name, 'x');
        redis_.run({"SCRIPT", "FLUSH"});
        EXPECT_EQ(verdict_of(side_.release(name, 'x', token)), Verdict::held_throughout);
    }
}

TEST_F(StoreTest, RenewAndReleaseWorkWhenMemoryIsFull) {
    const FencingToken a = side_.grant("a", 'x');
    const FencingToken b = side_.grant("b", 'x');
    redis_.run({"CONFIG", "SET", "maxmemory", "1"});
    const auto refused = side_.acquire("c", 'x');
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().failure, StoreFailure::not_executed);
    EXPECT_TRUE(side_.renew("a", 'x', a).renewed);
    EXPECT_EQ(verdict_of(side_.release("b", 'x', b)), Verdict::held_throughout);
}

TEST_F(StoreTest, ARecordStaysSmallHoweverOftenItsLockIsTaken) {
    for (int i = 0; i < 700; ++i) {
        const auto holder = static_cast<char>(i % 100);
        core::HolderId id = Side::id(holder);
        id.bytes[0] = static_cast<char>(i / 100);
        core::Want want = side_.want('x');
        want.holder = want.call = id;
        const auto answer = side_.call<core::AcquireAnswer>([&](auto done) {
            side_.store.acquire({Side::lock("a"), want, 1s}, std::move(done));
        });
        ASSERT_TRUE(std::holds_alternative<core::Granted>(*answer)) << i;
        const core::Lease lease{Side::lock("a"), id, std::get<core::Granted>(*answer).token};
        ASSERT_TRUE(side_.call<core::ReleaseAnswer>(
            [&](auto done) { side_.store.release(lease, {}, 1s, std::move(done)); }));
        const int fields = std::stoi(redis_.run({"HLEN", "hf:a"}));
        ASSERT_LE(fields, 256 + 4);
        ASSERT_EQ(std::stoi(redis_.run({"HGET", "hf:a", "n"})) + 4, fields) << "the count is right";
    }
}

TEST_F(StoreTest, EveryRecordHasATtl) {
    const FencingToken token = side_.grant("a", 'x');
    side_.grant("b", 'x');
    side_.release("a", 'x', token);
    side_.cancel("c", 'x');
    for (const char* key : {"hf:a", "hf:b", "hf:c"}) {
        EXPECT_GT(std::stoll(redis_.run({"PTTL", key})), 0) << key;
    }
    EXPECT_GT(std::stoll(redis_.run({"PTTL", "hf:a"})), 86'000'000);
}

TEST_F(StoreTest, ARenewalKeepsARecordThatAnotherDaemonKeepsForLess) {
    Side brief{settings_of(redis_), {.retention = 1min, .station = "station2"}};
    const FencingToken token = brief.grant("a", 'x');
    EXPECT_LT(std::stoll(redis_.run({"PTTL", "hf:a"})), 200'000);
    EXPECT_TRUE(side_.renew("a", 'x', token, 60s).renewed);  // far enough for another step
    EXPECT_GT(std::stoll(redis_.run({"PTTL", "hf:a"})), 86'000'000);
}

TEST_F(StoreTest, ARecordOfCancelledCallsAloneIsNotKeptForLong) {
    for (const char by : {'1', '2', '3'}) {
        side_.cancel("a", 'x', by);
        EXPECT_LE(std::stoll(redis_.run({"PTTL", "hf:a"})), 5'000) << by;
    }
}

TEST_F(StoreTest, PermitsOfAnyNumberAreRevoked) {
    constexpr std::uint32_t kHolders = 5'000;  // Lua passes on 8,000 values at most
    std::size_t granted = 0;
    for (std::uint32_t i = 0; i < kHolders; ++i) {
        core::Want want = side_.want('x', 60s);
        std::memcpy(want.holder.bytes.data(), &i, sizeof(i));
        want.call = want.holder;
        want.access = {core::Mode::permit, 1, kHolders};
        side_.store.acquire({Side::lock("a"), want, 10s}, [&](const auto& answer) {
            granted += answer && std::holds_alternative<core::Granted>(*answer) ? 1 : 0;
        });
    }
    ASSERT_TRUE(side_.run_until([&] { return granted == kHolders; }, 30s)) << granted;
    for (const auto how : {core::Revocation::lost, core::Revocation::at_once}) {
        const auto revoked = side_.call<std::vector<core::HolderState>>([&](auto done) {
            side_.store.revoke({Side::lock("a"), {}, how, 1s, "why"}, 10s, std::move(done));
        });
        ASSERT_TRUE(revoked) << revoked.error().message;
        EXPECT_EQ(revoked->size(), kHolders);
    }
    EXPECT_TRUE((*side_.inspect("a"))->holders.empty());
}

TEST_F(StoreTest, ListsWhatIsHeldByPrefix) {
    std::set<std::string> expected;
    for (int i = 0; i < 250; ++i) {
        const std::string name = "job*[" + std::to_string(i);
        side_.grant(name, 'x');
        expected.insert(name);
    }
    side_.grant("job", 'x');
    const FencingToken free = side_.grant("job*[free", 'x');
    side_.release("job*[free", 'x', free);
    std::set<std::string> found;
    std::string from;
    do {
        const auto page = side_.list("job*[", from, 50);
        ASSERT_TRUE(page) << page.error().message;
        for (const auto& lock : page->locks) {
            found.insert(lock.name.text());
            EXPECT_EQ(lock.holders.at(0).metadata, "meta");
        }
        from = page->next;
    } while (!from.empty());
    EXPECT_EQ(found, expected);
}

// Keys of others under the prefix: of other types, or of names that no lock has.
TEST_F(StoreTest, ListsPastKeysThatAreNoLocks) {
    redis_.run({"SET", "hf:string", "1"});
    redis_.run({"LPUSH", "hf:list", "1"});
    redis_.run({"SADD", "hf:set", "1"});
    redis_.run({"ZADD", "hf:zset", "1", "1"});
    redis_.run({"XADD", "hf:stream", "*", "some", "thing"});
    redis_.run({"HSET", "hf:hash", "some", "thing"});
    side_.grant("source", 'x');  // a record of ours, under names that are not
    const std::string foreign[] = {"hf:",
                                   "hf:\n",
                                   "hf:a\x01",
                                   std::string{"hf:a\0b", 6},
                                   "hf:\xff",
                                   "hf:" + std::string(513, 'n')};
    for (const std::string& key : foreign) {
        ASSERT_EQ(redis_.run({"COPY", "hf:source", key}), "1");
    }
    for (const char* name : {"a", "b", "c"}) {
        side_.grant(name, 'x');
    }
    std::set<std::string> found;
    std::string from;
    do {
        const auto page = side_.list("", from, 2);
        ASSERT_TRUE(page) << page.error().message;
        for (const auto& lock : page->locks) {
            found.insert(lock.name.text());
        }
        from = page->next;
    } while (!from.empty());
    EXPECT_EQ(found, (std::set<std::string>{"a", "b", "c", "source"}));
}

TEST_F(StoreTest, TakesAnyName) {
    const std::string names[] = {
        "}x", "{}a", "a{b}c", "{", "*", "日本", "a b", std::string(512, 'n')};
    for (const std::string& name : names) {
        const FencingToken token = side_.grant(name, 'x');
        EXPECT_EQ((*side_.inspect(name))->newest, token);
        EXPECT_EQ(verdict_of(side_.release(name, 'x', token)), Verdict::held_throughout);
    }
}

}  // namespace
}  // namespace holdfast::store
