// Plain keys of other clients, on a real Redis: what the unit tests' Redis cannot tell.

#include "store_fixture.hpp"

namespace holdfast::store {
namespace {

using core::Busy;
using core::FencingToken;
using core::Released;
using core::Verdict;

class CoexistingStore : public testing::Test {
protected:
    static RedisLockStore::Options options() {
        return {.station = "station1",
                .coexistence = Coexistence::parse({"orders:", "1", "0"}, "hf:").value()};
    }
    Verdict release(const std::string& name, char holder, FencingToken token) {
        return std::get<Released>(*side_.release(name, holder, token)).verdict;
    }
    std::string set_by_other(const std::string& name) const {
        return redis_.run({"SET", name, "theirs", "NX", "PX", "20000"});
    }

    test::RedisProcess redis_;
    Side side_{settings_of(redis_), options()};
};

TEST_F(CoexistingStore, TheKeyKeepsOthersOutAsLongAsTheLease) {
    const FencingToken token = side_.grant("orders:1", 'x', 1s);
    EXPECT_EQ(redis_.run({"GET", "orders:1"}), "holdfast:" + std::to_string(token.value));
    EXPECT_TRUE(side_.renew("orders:1", 'x', token, 20s).renewed);
    const int left = std::stoi(redis_.run({"PTTL", "orders:1"}));
    EXPECT_GT(left, 20'000);
    EXPECT_LE(left, 22'022);
    EXPECT_EQ(set_by_other("orders:1"), "(nil)");
    EXPECT_EQ(release("orders:1", 'x', token), Verdict::held_throughout);
    EXPECT_EQ(set_by_other("orders:1"), "OK");
    const auto refused = side_.acquire("orders:1", 'y');
    EXPECT_TRUE(std::get<Busy>(*refused).elsewhere);
    EXPECT_GT(std::get<Busy>(*refused).holder.expires_in, 15s);
}

// The time until when it may be executed is written behind the keys.
TEST_F(CoexistingStore, AKeyThatReadsLikeWhatIsAroundItIsTaken) {
    for (const std::string name : {"1", "0000000000000000"}) {
        const FencingToken token = side_.grant(name, 'x', 1s);
        EXPECT_EQ(redis_.run({"GET", name}), "holdfast:" + std::to_string(token.value));
        EXPECT_EQ(release(name, 'x', token), Verdict::held_throughout);
    }
}

TEST_F(CoexistingStore, ARenewalOfManyKeepsEachItsOwnKey) {
    std::vector<core::RenewCommand> commands;
    for (int i = 0; i < 60; ++i) {
        const std::string name = (i % 2 == 0 ? "orders:" : "plain ") + std::to_string(i);
        commands.push_back({Side::lease(name, 'x', side_.grant(name, 'x')), {20s}});
    }
    redis_.run({"DEL", "orders:20"});
    redis_.run({"SET", "orders:40", "theirs"});
    const auto answers = side_.call<std::vector<core::RenewAnswer>>(
        [&](auto done) { side_.store.renew(commands, 1s, std::move(done)); });
    ASSERT_TRUE(answers);
    for (int i = 0; i < 60; ++i) {
        const bool kept = i != 20 && i != 40;
        EXPECT_EQ((*answers)[static_cast<std::size_t>(i)].renewed, kept) << i;
        if (i % 2 == 0 && kept) {
            EXPECT_GT(std::stoi(redis_.run({"PTTL", "orders:" + std::to_string(i)})), 15'000);
        }
    }
    EXPECT_EQ(redis_.run({"GET", "orders:40"}), "theirs");
    EXPECT_EQ(redis_.run({"EXISTS", "orders:20", "plain 1"}), "0");
}

TEST_F(CoexistingStore, AKeyOfAnotherTypeIsToldAndLeftAlone) {
    redis_.run({"RPUSH", "orders:1", "a"});
    const auto answer = side_.acquire("orders:1", 'x');
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().failure, core::StoreFailure::mode_conflict);
    EXPECT_NE(answer.error().message.find("another type"), std::string::npos);
    EXPECT_EQ(redis_.run({"LLEN", "orders:1"}), "1");
}

TEST_F(CoexistingStore, LeasesGoOnAndEndWhenMemoryIsFull) {
    const FencingToken one = side_.grant("orders:1", 'x');
    const FencingToken two = side_.grant("orders:2", 'x');
    redis_.run({"CONFIG", "SET", "maxmemory", "1"});
    EXPECT_TRUE(side_.renew("orders:1", 'x', one, 20s).renewed);
    EXPECT_GT(std::stoi(redis_.run({"PTTL", "orders:1"})), 15'000);
    EXPECT_EQ(release("orders:2", 'x', two), Verdict::held_throughout);
    EXPECT_EQ(redis_.run({"EXISTS", "orders:2"}), "0");
    EXPECT_FALSE(side_.acquire("orders:3", 'x'));
    EXPECT_EQ(redis_.run({"EXISTS", "orders:3"}), "0");
}

TEST_F(CoexistingStore, AListSaysWhoHasWhat) {
    side_.grant("other", 'x');
    const FencingToken known = side_.grant("orders:1", 'x');
    release("orders:1", 'x', known);
    set_by_other("orders:1");
    const auto page = side_.list("");
    ASSERT_TRUE(page && page->locks.size() == 2);
    for (const core::LockState& lock : page->locks) {
        EXPECT_EQ(lock.holders.at(0).summary.owner,
                  lock.name.text() == "other" ? "owner" : "a client of the plain key orders:1");
    }
}

// A grant, a lease that is handed on and one that is revoked: whatever other daemons do in between.
TEST_F(CoexistingStore, TwoDaemonsHandTheKeyOn) {
    Side other{settings_of(redis_), {.station = "station2", .coexistence = options().coexistence}};
    const FencingToken first = side_.grant("orders:1", 'x');
    EXPECT_TRUE(std::holds_alternative<Busy>(*other.acquire("orders:1", 'y')));
    core::Want next = side_.want('z');
    const auto released = side_.call<core::ReleaseAnswer>([&](auto done) {
        side_.store.release(Side::lease("orders:1", 'x', first), next, 1s, std::move(done));
    });
    ASSERT_TRUE(released && released->handed && *released->handed);
    const FencingToken second = std::get<core::Granted>(**released->handed).token;
    EXPECT_EQ(redis_.run({"GET", "orders:1"}), "holdfast:" + std::to_string(second.value));
    const auto adopted = other.call<core::RenewAnswer>([&](auto done) {
        other.store.adopt(Side::lease("orders:1", 'z', second), {20s}, "", 1s, std::move(done));
    });
    EXPECT_TRUE(adopted && adopted->renewed);
    EXPECT_GT(std::stoi(redis_.run({"PTTL", "orders:1"})), 15'000);
    redis_.run({"DEL", "orders:1"});
    const auto lost = other.call<core::RenewAnswer>([&](auto done) {
        other.store.adopt(Side::lease("orders:1", 'z', second), {20s}, "", 1s, std::move(done));
    });
    EXPECT_TRUE(lost && !lost->renewed);
}

}  // namespace
}  // namespace holdfast::store
