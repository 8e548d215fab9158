#pragma once

// The nodes of a quorum publish the same words, each for itself. Passes each on once for each time that enough
// nodes have said it: the same words again are another event. Words are counted for each node, so that two
// events are two though a node's words come late. What has not been said for a while is forgotten: the rest of
// it was lost.

#include "core/clock.hpp"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <string_view>

namespace holdfast::store {

class QuorumEchoes {
public:
    // Whether this is the moment to pass it on.
    bool heard(std::size_t node, std::string_view text, std::size_t wanted, core::Instant now) {
        while (!known_.empty() && now - known_.front().said_at > kKept) {
            forget_oldest();
        }
        auto found = places_.find(text);
        if (found == places_.end()) {
            if (known_.size() == kMost) {
                forget_oldest();
            }
            known_.push_back({std::string{text}, {}, 0, now});
            found = places_.emplace(known_.back().text, std::prev(known_.end())).first;
        }
        known_.splice(known_.end(), known_, found->second);
        Words& words = known_.back();
        words.said_at = now;
        ++words.times[node];
        auto times = words.times;
        std::sort(times.begin(), times.end(), std::greater<>{});
        if (times[wanted - 1] <= words.passed_on) {
            return false;
        }
        ++words.passed_on;
        return true;
    }

private:
    // Words of one event come within the difference of two nodes' delays.
    static constexpr core::Milliseconds kKept{1000};
    static constexpr std::size_t kMost = 16384;
    static constexpr std::size_t kMostNodes = 8;
    struct Words {
        std::string text;
        std::array<std::size_t, kMostNodes> times;  // that each node has said it
        std::size_t passed_on;
        core::Instant said_at;
    };
    void forget_oldest() {
        places_.erase(known_.front().text);
        known_.pop_front();
    }

    std::list<Words> known_;  // the one that was said last at the end
    absl::flat_hash_map<std::string_view, std::list<Words>::iterator> places_;
};

}  // namespace holdfast::store
