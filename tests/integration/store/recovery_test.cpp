// Leases that are put back after the store has lost its memory, and what it remembers instead: an earlier
// state of the same record, as a backup brings it.

#include "store_fixture.hpp"

namespace holdfast::store {
namespace {

using core::FencingToken;
using core::Lease;
using core::Mode;

class RecoveryTest : public testing::Test {
protected:
    static RedisLockStore::Options options() {
        RedisLockStore::Options options{.station = "station1"};
        options.canary.max_ttl = core::Ttl{1s};  // so soon is the lock granted again
        return options;
    }

    core::StoreResult<core::AcquireAnswer> take(char holder, Mode mode, bool upgrade = false) {
        core::Want want = side_.want(holder);
        want.access = core::Access{mode};
        if (upgrade) {
            want.call = Side::id('u');
            want.upgrade = true;
        }
        return side_.call<core::AcquireAnswer>([&](auto done) {
            side_.store.acquire({Side::lock("a"), want, 1s}, std::move(done));
        });
    }
    Lease granted(char holder, Mode mode, bool upgrade = false) {
        const auto answer = take(holder, mode, upgrade);
        EXPECT_TRUE(answer && std::holds_alternative<core::Granted>(*answer));
        Lease lease = Side::lease("a", holder, std::get<core::Granted>(*answer).token);
        lease.access = core::Access{upgrade ? Mode::exclusive : mode};
        return lease;
    }
    Lease downgraded(Lease lease) {
        const auto answer = side_.call<core::RenewAnswer>(
            [&](auto done) { side_.store.downgrade(lease, {10s}, 1s, std::move(done)); });
        EXPECT_TRUE(answer && answer->renewed);
        lease.access = core::Access{Mode::shared};
        return lease;
    }

    void back_up() const { redis_.run({"COPY", "hf:a", "aside"}); }
    // The record is as it was backed up, and the store knows that it does not know.
    void load_the_backup() {
        redis_.run({"COPY", "aside", "hf:a", "REPLACE"});
        redis_.run({"DEL", side_.store.canary().key()});
    }
    // By the daemon that knows that the lease stands.
    core::RenewAnswer renew(const Lease& lease) {
        const core::RenewCommand command{lease, {10s}, true};
        core::RenewAnswer answer;
        EXPECT_TRUE(side_.run_until([&] {
            const auto answers = side_.call<std::vector<core::RenewAnswer>>([&](auto done) {
                side_.store.renew(std::span{&command, 1}, 1s, std::move(done));
            });
            answer = answers ? answers->front() : core::RenewAnswer{};
            return answers.has_value();
        }));
        return answer;
    }
    // It is held as it was told, and not otherwise.
    void expect_kept(const Lease& lease) {
        const core::RenewAnswer answer = renew(lease);
        EXPECT_TRUE(answer.renewed);
        EXPECT_TRUE(!answer.now ||
                    (answer.now->access == lease.access && answer.now->token == lease.token));
    }
    void release(const Lease& lease) {
        EXPECT_TRUE(side_.call<core::ReleaseAnswer>(
            [&](auto done) { side_.store.release(lease, {}, 1s, std::move(done)); }));
    }
    std::size_t holders(Mode mode) {
        const auto state = side_.inspect("a");
        EXPECT_EQ((*state)->mode, mode);
        return (*state)->holders.size();
    }

    test::RedisProcess redis_;
    Side side_{settings_of(redis_), options()};
};

// Were it told that it is exclusive, its holder would believe that it is alone.
TEST_F(RecoveryTest, AnOlderExclusiveRecordIsNotTakenForTheSharedLease) {
    const Lease first = granted('x', Mode::exclusive);
    back_up();
    const Lease shared = downgraded(first);
    const Lease other = granted('y', Mode::shared);
    load_the_backup();
    expect_kept(shared);
    expect_kept(other);
    expect_kept(shared);
    EXPECT_EQ(holders(Mode::shared), 2U);
}

TEST_F(RecoveryTest, NorDoesItStandInTheWayOfTheOthers) {
    const Lease first = granted('x', Mode::exclusive);
    back_up();
    const Lease shared = downgraded(first);
    const Lease other = granted('y', Mode::shared);
    load_the_backup();
    expect_kept(other);
    expect_kept(shared);
    EXPECT_EQ(holders(Mode::shared), 2U);
}

TEST_F(RecoveryTest, AnOlderSharedRecordIsNotTakenForTheExclusiveLease) {
    const Lease shared = granted('x', Mode::shared);
    back_up();
    const Lease exclusive = granted('x', Mode::shared, true);
    load_the_backup();
    expect_kept(exclusive);
    EXPECT_EQ(holders(Mode::exclusive), 1U);
}

// An exclusive lease whose conversion was executed though its daemon does not know yet.
TEST_F(RecoveryTest, AConversionThatStandsIsToldDuringTheRecovery) {
    const Lease shared = granted('x', Mode::shared);
    const Lease exclusive = granted('x', Mode::shared, true);
    back_up();
    load_the_backup();
    const core::RenewAnswer answer = renew(shared);
    EXPECT_TRUE(answer.renewed);
    ASSERT_TRUE(answer.now);
    EXPECT_EQ(answer.now->token, exclusive.token);
    EXPECT_EQ(answer.now->access.mode, Mode::exclusive);
}

// It takes the place of its earlier self: who releases it leaves nothing behind.
TEST_F(RecoveryTest, ALeaseThatIsPutBackIsCountedOnce) {
    granted('x', Mode::shared);
    back_up();
    const Lease exclusive = granted('x', Mode::shared, true);
    const Lease shared = downgraded(exclusive);
    load_the_backup();
    expect_kept(shared);
    EXPECT_EQ(holders(Mode::shared), 1U);
    release(shared);
    EXPECT_TRUE(side_.run_until(
        [&] {
            const auto answer = take('z', Mode::exclusive);
            return answer && std::holds_alternative<core::Granted>(*answer);
        },
        15s));
}

}  // namespace
}  // namespace holdfast::store
