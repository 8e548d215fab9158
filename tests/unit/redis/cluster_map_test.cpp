#include "redis/cluster_map.hpp"

#include "redis/redirect.hpp"

#include <gmock/gmock.h>

namespace holdfast::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Address kAsked{"h", 1};
const Address kA{"10.0.0.1", 7001};
const Address kB{"10.0.0.2", 7002};
const Address kC{"10.0.0.3", 7003};

ClusterNode node(const Address& address,
                 std::uint64_t epoch,
                 std::vector<std::pair<Slot, Slot>> slots,
                 bool myself = false) {
    return {address.host, address, myself, true, false, epoch, std::move(slots), {}};
}

TEST(HashSlot, IsTheClustersOwn) {
    EXPECT_EQ(slot_of("123456789"), 0x31C3);  // of the specification
    EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
    EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));
    EXPECT_NE(slot_of("foo{}x"), slot_of(""));
    EXPECT_NE(slot_of("{a"), slot_of("a"));
}

TEST(HashSlot, HasATagForEverySlot) {
    for (const Slot slot : {0, 1, 5460, 5461, 10922, 16383}) {
        EXPECT_EQ(slot_of("before{" + tag_for(slot) + "}:after{x}"), slot);
    }
}

TEST(Redirect, IsRead) {
    const Address from{"10.0.0.9", 1};
    EXPECT_EQ(parse_redirect("MOVED 3999 10.0.0.1:7001", from),
              (Redirect{Redirect::Kind::moved, 3999, kA}));
    EXPECT_EQ(parse_redirect("ASK 16383 ::1:7001", from),
              (Redirect{Redirect::Kind::ask, 16383, {"::1", 7001}}));
    EXPECT_EQ(parse_redirect("MOVED 1 :7001", from),
              (Redirect{Redirect::Kind::moved, 1, {"10.0.0.9", 7001}}));
    EXPECT_EQ(parse_redirect("MOVED 1 ?:7001", from),
              (Redirect{Redirect::Kind::moved, 1, {"10.0.0.9", 7001}}));
    for (const char* bad : {"",
                            "MOVED",
                            "MOVED 1",
                            "MOVED x h:1",
                            "MOVED 16384 h:1",
                            "MOVED 1 h",
                            "MOVED 1 h:0",
                            "MOVED 1 h:65536",
                            "MOVED 1 h:1x",
                            "TRYAGAIN 1 h:1",
                            "CLUSTERDOWN Hash slot not served"}) {
        EXPECT_FALSE(parse_redirect(bad, from)) << bad;
    }
}

TEST(ClusterNodes, AreReadAsEveryVersionWritesThem) {
    const std::string text =
        "aa 127.0.0.1:7001@17001 myself,master - 0 0 3 connected 0-5460 5462 [5461->-bb]\n"
        "bb 127.0.0.1:7002@17002,host-b master - 0 1 4 connected 5461 [7->-aa]\n"
        "cc 127.0.0.1:7003@17003,,shard-id=x slave aa 0 1 3 connected\n"
        "dd :7004@17004 master,fail - 1 1 2 disconnected 9-8 16384 10\r\n"
        "ee :0@0 master,noaddr - 1 1 2 disconnected 11\n"
        "ff 127.0.0.1:7006@17006 handshake - 0 0 0 connected\n"
        "short line\n";
    const ClusterView view = parse_cluster_nodes(text, kAsked, true);
    ASSERT_EQ(view.size(), 4U);
    EXPECT_TRUE(view[0].myself);
    EXPECT_EQ(view[0].epoch, 3U);
    EXPECT_THAT(view[0].slots,
                ElementsAre(std::pair<Slot, Slot>{0, 5460}, std::pair<Slot, Slot>{5462, 5462}));
    EXPECT_EQ(view[1].address, (Address{"host-b", 7002}));
    EXPECT_FALSE(view[2].primary);
    EXPECT_EQ(view[2].address, (Address{"127.0.0.1", 7003}));
    EXPECT_TRUE(view[3].failing);
    EXPECT_EQ(view[3].address, (Address{"h", 7004})) << "of the one that was asked";
    EXPECT_THAT(view[3].slots, ElementsAre(std::pair<Slot, Slot>{10, 10}));
    EXPECT_EQ(parse_cluster_nodes(text, kAsked, false)[1].address.host, "127.0.0.1");
}

class ClusterMapTest : public testing::Test {
protected:
    void SetUp() override {
        EXPECT_THAT(map_.learn({node(kA, 1, {{0, 99}}, true), node(kB, 2, {{100, 16383}})}),
                    IsEmpty())
            << "the first view changes nothing";
    }
    ClusterMap map_;
};

TEST_F(ClusterMapTest, AGreaterEpochWins) {
    EXPECT_THAT(
        map_.learn({node(kA, 1, {}), node(kC, 7, {{0, 99}}, true), node(kB, 2, {{100, 16383}})}),
        ElementsAre(ClusterMap::Change{kA, kC}));
    EXPECT_EQ(map_.owner(5), kC);
    EXPECT_THAT(
        map_.learn({node(kA, 1, {{0, 99}}, true), node(kB, 2, {{100, 16383}}), node(kC, 0, {})}),
        IsEmpty())
        << "an old view";
    EXPECT_EQ(map_.owner(5), kC);
}

TEST_F(ClusterMapTest, AnOwnersOwnWordIsTaken) {
    map_.learn({node(kA, 9, {{0, 99}}, true), node(kB, 2, {{100, 16383}})});
    EXPECT_THAT(map_.learn({node(kA, 9, {{0, 49}}, true), node(kB, 3, {{50, 16383}})}),
                ElementsAre(ClusterMap::Change{kA, kB}))
        << "though its epoch is smaller";
    EXPECT_EQ(map_.owner(49), kA);
    EXPECT_EQ(map_.owner(50), kB);
}

TEST_F(ClusterMapTest, MovedIsTakenAndNothingIsSaidTwice) {
    EXPECT_EQ(map_.moved(5, kB), (ClusterMap::Change{kA, kB}));
    EXPECT_EQ(map_.moved(5, kB), std::nullopt);
    EXPECT_EQ(map_.owner(5), kB);
    EXPECT_EQ(map_.owner(6), kA);
}

TEST_F(ClusterMapTest, OfAnOwnerThatIsNotReachedAnyViewIsTaken) {
    EXPECT_THAT(map_.learn({node(kC, 0, {{0, 99}}, true)}), IsEmpty());
    map_.doubt(kA);
    EXPECT_THAT(map_.learn({node(kC, 0, {{0, 99}}, true)}),
                ElementsAre(ClusterMap::Change{kA, kC}));
}

TEST_F(ClusterMapTest, ASlotThatNobodyServesIsKnownAndWhoTakesItIsTold) {
    map_.learn({node(kA, 1, {{0, 9}, {20, 99}}, true), node(kB, 2, {{100, 16383}})});
    EXPECT_EQ(map_.uncovered(), 10U);
    EXPECT_EQ(map_.owner(10), std::nullopt);
    EXPECT_THAT(map_.learn({node(kB, 3, {{10, 19}, {100, 16383}}, true)}),
                ElementsAre(ClusterMap::Change{std::nullopt, kB}));
}

TEST_F(ClusterMapTest, PrimariesAreThoseThatServeAndThoseThatMay) {
    EXPECT_THAT(map_.primaries(), ElementsAre(kA, kB));
    ClusterNode failing = node({"x", 1}, 0, {});
    failing.failing = true;
    ClusterNode replica = node({"y", 1}, 0, {});
    replica.primary = false;
    const auto before = map_.fingerprint();
    map_.learn({node(kA, 1, {{0, 99}}, true), node(kC, 0, {}), failing, replica});
    EXPECT_THAT(map_.primaries(), ElementsAre(kA, kB, kC));
    EXPECT_EQ(map_.fingerprint(), before) << "no slot has another owner";
    map_.moved(3, kC);
    EXPECT_NE(map_.fingerprint(), before);
    EXPECT_THAT(map_.slots_of(kA),
                ElementsAre(std::pair<Slot, Slot>{0, 2}, std::pair<Slot, Slot>{4, 99}));
}

}  // namespace
}  // namespace holdfast::redis
