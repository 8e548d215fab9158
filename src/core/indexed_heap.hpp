#pragma once

// A binary min-heap of pointers in which every element knows its place, so that a changed key moves
// the element where it stands and nothing is ever in the heap twice. (Sedgewick and Wayne,
// Algorithms, 4th edition, section 2.4, "index priority queue".) All operations are O(log n), the
// minimum is O(1). The heap owns nothing.

#include <cstddef>
#include <utility>
#include <vector>

namespace holdfast::core {

// What an element of IndexedHeap derives from or holds. Not copied with the element's value.
struct HeapPlace {
    static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
    std::size_t heap_index = kNowhere;
    bool in_heap() const { return heap_index != kNowhere; }
};

// T derives from HeapPlace; Key is a callable (const T&) -> a value ordered by <.
template <class T, class Key>
class IndexedHeap {
public:
    bool empty() const { return items_.empty(); }
    std::size_t size() const { return items_.size(); }
    T& top() const { return *items_.front(); }

    // Adds the element, or moves it after its key has changed.
    void update(T& item) {
        if (!item.in_heap()) {
            item.heap_index = items_.size();
            items_.push_back(&item);
        }
        sift_up(item.heap_index);
        sift_down(item.heap_index);
    }

    // Does nothing if the element is not in the heap.
    void remove(T& item) {
        if (!item.in_heap()) {
            return;
        }
        const std::size_t hole = item.heap_index;
        T* last = items_.back();
        items_.pop_back();
        item.heap_index = HeapPlace::kNowhere;
        if (last != &item) {
            place(last, hole);
            update(*last);
        }
    }

private:
    void place(T* item, std::size_t index) {
        items_[index] = item;
        item->heap_index = index;
    }

    bool less(std::size_t a, std::size_t b) const { return Key{}(*items_[a]) < Key{}(*items_[b]); }

    void swap(std::size_t a, std::size_t b) {
        T* held = items_[a];
        place(items_[b], a);
        place(held, b);
    }

    void sift_up(std::size_t index) {
        while (index > 0 && less(index, (index - 1) / 2)) {
            swap(index, (index - 1) / 2);
            index = (index - 1) / 2;
        }
    }

    void sift_down(std::size_t index) {
        for (;;) {
            std::size_t least = index;
            for (const std::size_t child : {2 * index + 1, 2 * index + 2}) {
                if (child < items_.size() && less(child, least)) {
                    least = child;
                }
            }
            if (least == index) {
                return;
            }
            swap(index, least);
            index = least;
        }
    }

    std::vector<T*> items_;
};

}  // namespace holdfast::core
