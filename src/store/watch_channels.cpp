#include "store/watch_channels.hpp"

namespace holdfast::store {

template <class Do>
void WatchChannels::for_each_channel(const core::WatchScope& scope, Do what) {
    if (scope.name) {
        what(store_.watch_index(*scope.name));
        return;
    }
    for (std::size_t index = 0; index < listeners_.size(); ++index) {
        what(index);
    }
}

bool WatchChannels::begin(const core::WatchScope& scope) {
    for_each_channel(scope, [this](std::size_t index) {
        if (++listeners_[index] == 1) {
            subscriber_.subscribe(RedisLockStore::watch_channel(index));
        }
    });
    return subscriber_.hears_all();
}

void WatchChannels::end(const core::WatchScope& scope) {
    for_each_channel(scope, [this](std::size_t index) {
        if (--listeners_[index] == 0) {
            subscriber_.unsubscribe(RedisLockStore::watch_channel(index));
        }
    });
}

}  // namespace holdfast::store
