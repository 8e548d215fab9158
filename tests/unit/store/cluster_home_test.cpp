// In which slot of a primary its canary is.

#include "store/cluster_home.hpp"

#include "support/manual_clock.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace holdfast::store {
namespace {

const redis::Address kHere{"10.0.0.1", 7001};
constexpr redis::Slot kFirst = 15673;  // of all, in the order that the canary's slot is chosen by

class ClusterHomeSlot : public testing::Test {
protected:
    using Slots = std::vector<std::pair<redis::Slot, redis::Slot>>;

    // One daemon's.
    struct Home {
        explicit Home(ClusterHomeSlot& test)
            : node(test.cluster_, kHere), home(node, test.clock_, options()) {}

        static RedisLockStore::Options options() {
            RedisLockStore::Options options;
            options.station = "station1";
            options.canary.apart = true;
            return options;
        }
        // The node itself says that it has these slots, of which some are on their way to another.
        bool hear(const Slots& slots, std::vector<redis::Slot> leaving = {}) {
            map.learn({{"here", kHere, true, true, false, ++epoch, slots, std::move(leaving)}});
            return home.follow(map, true);
        }
        bool is_asked(redis::Slot slot) {
            return home.avoid(map, "Redis answered: ASK " + std::to_string(slot) + " h:1");
        }
        std::string tag() { return home.store().canary().tag(); }

        redis::Cluster::Node node;
        ClusterHome home;
        redis::ClusterMap map;
        std::uint64_t epoch = 0;
    };

    boost::asio::io_context context_;
    test::ManualClock clock_;
    redis::Cluster cluster_{
        context_, {}, {[](auto&, auto*) {}, [](const auto&, const auto&) {}, [](auto&) {}, [] {}}};
    Home before_{*this};
    Home after_{*this};
};

TEST_F(ClusterHomeSlot, IsTheSameForWhoSawTheSlotsComeAndForWhoCameLater) {
    ASSERT_TRUE(before_.hear({{0, 5000}}));
    EXPECT_NE(before_.tag(), redis::tag_for(kFirst));
    EXPECT_TRUE(before_.hear({{0, 5000}, {15000, 16383}}));
    ASSERT_TRUE(after_.hear({{0, 5000}, {15000, 16383}}));
    EXPECT_EQ(before_.tag(), redis::tag_for(kFirst));
    EXPECT_EQ(after_.tag(), before_.tag());
    EXPECT_FALSE(before_.hear({{0, 5000}, {15000, 16383}})) << "nothing is new";
}

TEST_F(ClusterHomeSlot, IsAnotherWhileItsSlotIsOnItsWayAndTheSameAgainIfItStays) {
    ASSERT_TRUE(before_.hear({{0, 16383}}));
    EXPECT_TRUE(before_.is_asked(kFirst));
    EXPECT_NE(before_.tag(), redis::tag_for(kFirst));
    EXPECT_FALSE(before_.hear({{0, 16383}}, {kFirst}));
    EXPECT_TRUE(before_.hear({{0, 16383}})) << "it was not moved after all";
    EXPECT_EQ(before_.tag(), redis::tag_for(kFirst));
}

TEST_F(ClusterHomeSlot, IsNotAnotherForAnAnswerThatIsNotAboutIt) {
    ASSERT_TRUE(before_.hear({{0, 16383}}));
    EXPECT_FALSE(before_.is_asked(kFirst - 1));
    EXPECT_FALSE(before_.home.avoid(before_.map, "no connection to Redis"));
    EXPECT_EQ(before_.tag(), redis::tag_for(kFirst));
}

}  // namespace
}  // namespace holdfast::store
