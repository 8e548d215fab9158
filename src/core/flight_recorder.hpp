#pragma once

// What happened to locks lately, for Explain: a ring of the last transitions that this shard saw. It
// is written for every grant, so a slot's strings keep their memory when it is overwritten, and a
// release does not look up whose lease it was: of() finds that in the ring. Not recorded: refusals,
// renewals, and what other daemons did.

#include "core/lease_listener.hpp"
#include "core/types.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::core {

enum class Happening : std::uint8_t {
    granted,
    released,
    expired,    // its deadline, or its longest hold, has passed
    lost,       // the store says that it is gone
    revoked,    // an operator took it away
    moved,      // another daemon, or another stream, watches it from here on
    cancelled,  // its caller went away while it waited
};

const char* to_string(Happening what);
Happening happening_of(LossCause cause);

class FlightRecorder {
public:
    // A slot takes some 130 bytes with a short name and owner: 2 MB in all.
    static constexpr std::size_t kSlots = 16'384;

    struct Transition {
        Instant at{};
        Happening what = Happening::granted;
        FencingToken token;  // 0: of a waiter
        std::string owner;
    };

    explicit FlightRecorder(std::size_t slots = kSlots);

    // `owner` may be empty if the ring has the grant.
    void record(Instant at,
                Happening what,
                const LockName& name,
                FencingToken token,
                std::string_view owner = {});

    // Of this lock, newest first; at most `most`. O(kSlots).
    std::vector<Transition> of(const LockName& name, std::size_t most) const;

private:
    struct Slot {
        Instant at{};
        FencingToken token;
        Happening what = Happening::granted;
        std::string name;
        std::string owner;
    };
    const std::size_t size_;
    std::vector<Slot> slots_;
    std::size_t next_ = 0;  // to be written
};

}  // namespace holdfast::core
