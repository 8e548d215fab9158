#include "core/types.hpp"

#include "core/holder_ids.hpp"
#include "core/lease_id.hpp"
#include "core/limits.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

namespace holdfast::core {
namespace {

TEST(LockName, TakesAnyCleanUtf8) {
    for (const std::string name : {"a", "{}a", "a{b}c", "}x", "日本", "a b", "ä", "\U0001F512"}) {
        EXPECT_TRUE(LockName::parse(name)) << name;
    }
    EXPECT_TRUE(LockName::parse(std::string(512, 'x')));
}

TEST(LockName, RefusesWhatIsOutOfBounds) {
    const std::string bad[] = {"",
                               std::string(513, 'x'),
                               std::string("a\0b", 3),
                               "line\nbreak",
                               "\x7f",
                               "\xc2\x85",          // NEXT LINE, a control character
                               "\xc0\xaf",          // overlong
                               "\xed\xa0\x80",      // a surrogate
                               "\xf4\x90\x80\x80",  // above U+10FFFF
                               "\xe2\x82",          // cut off
                               "\xff"};
    for (const std::string& name : bad) {
        const auto parsed = LockName::parse(name);
        ASSERT_FALSE(parsed) << name;
        EXPECT_EQ(parsed.error().reason, Reason::invalid_argument);
        EXPECT_EQ(parsed.error().field, "name");
    }
}

Lease sample(const std::string& name) {
    Lease lease{*LockName::parse(name), {}, FencingToken{1'795'461'816'307'516}};
    for (std::size_t i = 0; i < lease.holder.bytes.size(); ++i) {
        lease.holder.bytes[i] = static_cast<char>(i * 17);
    }
    return lease;
}

TEST(LeaseId, KeepsHowManyReplicasMustAcknowledge) {
    for (const Mode mode : {Mode::exclusive, Mode::shared, Mode::permit}) {
        Lease lease = sample("lock");
        lease.access = {mode, 2, mode == Mode::permit ? 5U : 0U};
        lease.replicas = 16;
        const auto decoded = decode_lease_id(encode_lease_id(lease));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->access.mode, mode);
        EXPECT_EQ(decoded->replicas, 16);
        lease.replicas = 17;
        EXPECT_FALSE(decode_lease_id(encode_lease_id(lease))) << "more than can be asked for";
    }
}

TEST(LeaseId, RoundTrips) {
    for (const std::string& name : {std::string{"a"}, std::string(512, 'x'), std::string{"{ü}"}}) {
        const Lease lease = sample(name);
        const auto decoded = decode_lease_id(encode_lease_id(lease));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->name, lease.name);
        EXPECT_EQ(decoded->holder, lease.holder);
        EXPECT_EQ(decoded->token, lease.token);
    }
}

TEST(LeaseId, NoticesEveryMangledOrMissingCharacter) {
    const std::string id = encode_lease_id(sample("lock"));
    for (std::size_t i = 0; i < id.size(); ++i) {
        std::string mangled = id;
        mangled[i] = mangled[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(decode_lease_id(mangled)) << "character " << i;
        EXPECT_FALSE(decode_lease_id(id.substr(0, i))) << "cut to " << i;
    }
    for (const std::string& bad :
         {std::string{}, std::string{"x"}, std::string(100'000, 'A'), id + id}) {
        const auto decoded = decode_lease_id(bad);
        ASSERT_FALSE(decoded);
        EXPECT_EQ(decoded.error().field, "lease_id");
    }
}

LeaseSet sample_set(const std::vector<std::string>& names, Mode mode = Mode::exclusive) {
    LeaseSet set;
    set.secret.bytes.fill('s');
    for (const std::string& name : names) {
        const LockName lock = *LockName::parse(name);
        const FencingToken token{1'795'461'816'307'516 + set.leases.size()};
        set.leases.push_back({lock, holder_in_set(set.secret, lock), token, {mode}});
    }
    return set;
}

TEST(LeaseId, OfASetRoundTrips) {
    std::vector<std::string> most;
    for (char i = 0; i < 64; ++i) {
        most.push_back(std::string(511, 'x') + static_cast<char>('0' + i));
    }
    for (const auto& names : {std::vector<std::string>{"a"}, {"a", "b{}", "\xc3\xbc"}, most}) {
        LeaseSet set = sample_set(names, Mode::shared);
        for (Lease& lease : set.leases) {
            lease.replicas = 3;
        }
        const std::string id = encode_lease_id(set);
        EXPECT_LE(id.size(), 64U * 1024);
        const auto decoded = decode_any_lease_id(id);
        ASSERT_TRUE(decoded && std::holds_alternative<LeaseSet>(*decoded));
        const auto& again = std::get<LeaseSet>(*decoded);
        EXPECT_EQ(again.secret, set.secret);
        ASSERT_EQ(again.leases.size(), set.leases.size());
        for (std::size_t i = 0; i < names.size(); ++i) {
            EXPECT_EQ(again.leases[i].name, set.leases[i].name);
            EXPECT_EQ(again.leases[i].holder, set.leases[i].holder);
            EXPECT_EQ(again.leases[i].token, set.leases[i].token);
            EXPECT_EQ(again.leases[i].access, set.leases[i].access);
            EXPECT_EQ(again.leases[i].replicas, 3);
        }
        const auto one = decode_lease_id(id);
        ASSERT_FALSE(one) << "a set is no single lease";
        EXPECT_EQ(one.error().field, "lease_id");
        EXPECT_NE(one.error().message.find("several locks"), std::string::npos);
    }
}

TEST(LeaseId, OfASetNoticesEveryMangledOrMissingCharacter) {
    const std::string id = encode_lease_id(sample_set({"lock a", "lock b"}));
    for (std::size_t i = 0; i < id.size(); ++i) {
        std::string mangled = id;
        mangled[i] = mangled[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(decode_any_lease_id(mangled)) << "character " << i;
        EXPECT_FALSE(decode_any_lease_id(id.substr(0, i))) << "cut to " << i;
    }
    // Well formed but for one rule each.
    EXPECT_FALSE(decode_any_lease_id(encode_lease_id(sample_set({"b", "a"})))) << "not sorted";
    EXPECT_FALSE(decode_any_lease_id(encode_lease_id(sample_set({"a", "a"})))) << "twice";
    EXPECT_FALSE(decode_any_lease_id(encode_lease_id(sample_set({"a"}, Mode::permit))));
}

TEST(LeaseId, EachLockOfASetHasAnotherHolderId) {
    const LeaseSet set = sample_set({"a", "b"});
    EXPECT_NE(set.leases[0].holder, set.leases[1].holder);
    EXPECT_NE(set.leases[0].holder, set.secret);
    const auto id = *RequestId::parse(std::string(16, 'r'));
    const std::vector<LockName> both{set.leases[0].name, set.leases[1].name};
    EXPECT_EQ(id.secret_for(both), RequestId::parse(std::string(16, 'r'))->secret_for(both));
    EXPECT_NE(id.secret_for(both), id.secret_for(std::span{both}.first(1)));
    EXPECT_NE(id.secret_for(std::span{both}.first(1)), id.holder_for(both[0]));
}

TEST(RequestId, HasBoundsAndIsBoundToTheLock) {
    EXPECT_FALSE(RequestId::parse(std::string(15, 'r')));
    EXPECT_FALSE(RequestId::parse(std::string(65, 'r')));
    const auto id = RequestId::parse(std::string(16, 'r'));
    ASSERT_TRUE(id);
    const auto a = *LockName::parse("a");
    EXPECT_EQ(id->holder_for(a), RequestId::parse(std::string(16, 'r'))->holder_for(a));
    EXPECT_NE(id->holder_for(a), id->holder_for(*LockName::parse("b")));
    EXPECT_NE(id->holder_for(a), RequestId::parse(std::string(17, 'r'))->holder_for(a));
}

TEST(SystemHolderIds, DoNotRepeat) {
    SystemHolderIds ids;
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(seen.emplace(ids.next().view()).second);
    }
}

TEST(Limits, ChecksTtlWithItsBounds) {
    const Limits limits;
    EXPECT_EQ(limits.check_ttl(0)->value, Milliseconds{10'000});
    EXPECT_EQ(limits.check_ttl(1000)->value, Milliseconds{1000});
    EXPECT_EQ(limits.check_ttl(30'000)->value, Milliseconds{30'000});
    EXPECT_EQ(limits.check_ttl(999).error().field, "ttl_ms");
    EXPECT_NE(limits.check_ttl(30'001).error().message.find("max_hold_ms"), std::string::npos);
    EXPECT_FALSE(limits.check_ttl(std::numeric_limits<std::uint64_t>::max()));
}

TEST(Limits, ChecksTheOtherFields) {
    const Limits limits;
    const Ttl ttl{Milliseconds{10'000}};
    constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(limits.check_wait(kHuge).error().field, "wait_ms");
    EXPECT_EQ(limits.check_max_hold(kHuge, ttl).error().field, "max_hold_ms");
    EXPECT_EQ(limits.check_max_hold(9'999, ttl).error().field, "max_hold_ms");
    EXPECT_EQ(*limits.check_max_hold(0, ttl), Milliseconds{0});
    EXPECT_EQ(Limits::check_owner(std::string(257, 'o')).error().field, "owner");
    EXPECT_EQ(Limits::check_owner("a\nb").error().field, "owner");
    EXPECT_EQ(Limits::check_metadata(std::string(4097, 'm')).error().field, "metadata");
    EXPECT_TRUE(Limits::check_metadata(std::string(4096, '\0')));
}

TEST(Remaining, RoundsDownAndNeverBelowZero) {
    const Instant now{std::chrono::seconds{5}};
    EXPECT_EQ(remaining(now, now + Duration{1'999'999}), Milliseconds{1});
    EXPECT_EQ(remaining(now, now - Duration{1}), Milliseconds{0});
}

}  // namespace
}  // namespace holdfast::core
