#include "core/timers.hpp"

#include "support/manual_clock.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace holdfast::core {
namespace {

struct Item : HeapPlace {
    int key = 0;
};
struct ByKey {
    int operator()(const Item& item) const { return item.key; }
};

TEST(IndexedHeap, AgreesWithASortedSetUnderRandomChanges) {
    std::minstd_rand random{7};
    std::vector<Item> items(200);
    std::multiset<int> expected;
    IndexedHeap<Item, ByKey> heap;
    for (int step = 0; step < 20'000; ++step) {
        Item& item = items[random() % items.size()];
        if (item.in_heap()) {
            expected.erase(expected.find(item.key));
        }
        if (random() % 3 == 0) {
            heap.remove(item);
        } else {
            item.key = static_cast<int>(random() % 1000);
            heap.update(item);
            expected.insert(item.key);
        }
        ASSERT_EQ(heap.size(), expected.size());
        if (!expected.empty()) {
            ASSERT_EQ(heap.top().key, *expected.begin());
        }
    }
}

class Timers : public testing::Test {
protected:
    TimerQueue queue_;
    test::ManualClock clock_;
    std::vector<int> fired_;
};

TEST_F(Timers, FireInOrderWhenDue) {
    Timer a{queue_};
    Timer b{queue_};
    a.set(clock_.now() + Milliseconds{20}, [&] { fired_.push_back(1); });
    b.set(clock_.now() + Milliseconds{10}, [&] { fired_.push_back(2); });
    queue_.fire(clock_.now());
    EXPECT_TRUE(fired_.empty());
    EXPECT_EQ(queue_.next(), clock_.now() + Milliseconds{10});
    clock_.advance(Milliseconds{30});
    queue_.fire(clock_.now());
    EXPECT_EQ(fired_, (std::vector{2, 1}));
    EXPECT_EQ(queue_.next(), kNever);
}

TEST_F(Timers, CancelledAndDestroyedOnesDoNotFire) {
    Timer a{queue_};
    a.set(clock_.now(), [&] { fired_.push_back(1); });
    a.cancel();
    {
        Timer b{queue_};
        b.set(clock_.now(), [&] { fired_.push_back(2); });
    }
    queue_.fire(clock_.now());
    EXPECT_TRUE(fired_.empty());
}

TEST_F(Timers, MayDestroyThemselvesAndCancelOthers) {
    auto a = std::make_unique<Timer>(queue_);
    Timer b{queue_};
    a->set(clock_.now(), [&] {
        a.reset();
        b.cancel();
    });
    b.set(clock_.now() + Duration{1}, [&] { fired_.push_back(2); });
    clock_.advance(Milliseconds{1});
    queue_.fire(clock_.now());
    EXPECT_TRUE(fired_.empty());
}

TEST_F(Timers, OneThatSetsItselfForThePastDoesNotBlockTheLoop) {
    Timer a{queue_};
    int runs = 0;
    std::function<void()> again = [&] {
        ++runs;
        a.set(clock_.now(), [&] { again(); });
    };
    a.set(clock_.now(), [&] { again(); });
    queue_.fire(clock_.now());
    EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace holdfast::core
