#include "store/watch_channels.hpp"

namespace holdfast::store {

template <class Do>
void WatchChannels::for_each_channel(const core::WatchScope& scope, Do what) {
    if (scope.name) {
        what(notices_.watch_index(*scope.name));
        return;
    }
    for (std::size_t index = 0; index < listeners_.size(); ++index) {
        what(index);
    }
}

bool WatchChannels::begin(const core::WatchScope& scope) {
    for_each_channel(scope, [this](std::size_t index) {
        if (++listeners_[index] == 1) {
            inbox_.subscribe(Notices::watch_channel(index));
        }
    });
    return inbox_.hears_all();
}

void WatchChannels::end(const core::WatchScope& scope) {
    for_each_channel(scope, [this](std::size_t index) {
        if (--listeners_[index] == 0) {
            inbox_.unsubscribe(Notices::watch_channel(index));
        }
    });
}

}  // namespace holdfast::store
