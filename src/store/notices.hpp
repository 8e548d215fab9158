#pragma once

// What scripts PUBLISH, where, and how it is read.

#include "core/lock_store.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::store {

// What another daemon's command did that concerns this station.
struct Notice {
    enum class Kind {
        freed,    // it may be this station's turn
        ended,    // a lease that is watched here was released
        moved,    // a lease that was watched here is watched by another
        revoked,  // a lease that is watched here was revoked
        changed,  // a lock that this station listens for
    };
    Kind kind;
    core::LockName name;
    core::HolderId holder;  // of the lease
    core::Revocation how = core::Revocation::yield;
    core::Milliseconds closes_in{0};
    std::string reason;
};

class Notices {
public:
    // `prefix`: that of the locks' keys.
    explicit Notices(std::string prefix) : prefix_(std::move(prefix)) {}

    // Where scripts PUBLISH what this station should know.
    static std::string channel_of(std::string_view station);
    // Where scripts PUBLISH that this lock has changed: one of kWatchChannels.
    static constexpr std::size_t kWatchChannels = 64;
    std::size_t watch_index(const core::LockName& name) const;
    static std::string watch_channel(std::size_t index);
    // What came on such a channel, as what it says; empty if it is not understood.
    std::optional<Notice> parse(std::string_view payload) const;

private:
    std::string prefix_;
};

}  // namespace holdfast::store
