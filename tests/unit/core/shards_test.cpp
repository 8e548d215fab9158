#include "core/shards.hpp"

#include "core_fixture.hpp"

#include <gtest/gtest.h>

#include <future>

namespace holdfast::core {
namespace {

// Two shards that turn; their lock manager is of no interest here.
class ShardsTest : public CoreTest {
protected:
    ShardsTest() {
        for (std::size_t i = 0; i < shards_.size(); ++i) {
            shards_.start(i, manager_);
        }
    }
    ~ShardsTest() override { shards_.stop(); }

    static std::vector<std::unique_ptr<Shard>> two() {
        static const SystemClock clock;
        std::vector<std::unique_ptr<Shard>> shards;
        shards.push_back(std::make_unique<Shard>(clock));
        shards.push_back(std::make_unique<Shard>(clock));
        return shards;
    }

    void note(std::size_t shard, int what) {
        shards_.post_to(shard, [this, shard, what](LockManager&) { done_[shard].push_back(what); });
    }
    // Until all is done that was posted to both by others than a thread that gathers.
    void settle() {
        std::thread{[this] {
            for (std::size_t shard = 0; shard < 2; ++shard) {
                std::promise<void> done;
                shards_.post_to(shard, [&](LockManager&) { done.set_value(); });
                done.get_future().wait();
            }
        }}.join();
    }

    Shards shards_{two()};
    std::vector<int> done_[2];
};

using Done = std::vector<int>;

TEST_F(ShardsTest, WhatIsGatheredRunsInOrderWhenItIsFlushed) {
    Shards::Gathering gathering{shards_};
    note(0, 1);
    note(1, 2);
    note(0, 3);
    settle();
    EXPECT_TRUE(done_[0].empty());
    EXPECT_TRUE(done_[1].empty());
    gathering.flush();
    settle();
    EXPECT_EQ(done_[0], (Done{1, 3}));
    EXPECT_EQ(done_[1], Done{2});
}

TEST_F(ShardsTest, NothingThatWasGatheredIsLeftBehind) {
    {
        Shards::Gathering gathering{shards_};
        note(0, 1);
    }
    note(0, 2);
    settle();
    EXPECT_EQ(done_[0], (Done{1, 2}));
}

TEST_F(ShardsTest, WhatOthersPostDoesNotWait) {
    Shards::Gathering gathering{shards_};
    note(0, 1);
    std::thread{[this] { note(0, 2); }}.join();
    settle();
    EXPECT_EQ(done_[0], Done{2});
}

}  // namespace
}  // namespace holdfast::core
