#pragma once

// What can go wrong, as values. One enum for the whole service; rpc/ maps it to gRPC status in one
// place. What is not a grant is an error, so that a caller who ignores results holds nothing.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast::core {

enum class Reason {
    invalid_argument,   // a field is out of its bounds; `field` names it
    unimplemented,      // a field or call that this version does not serve; `field` names it
    lock_held,          // not obtained within the wait; metadata tells of the holder
    deadlock,           // it could only wait for itself, or for one who waits for it
    lease_lost,         // the lease expired, was taken, or its request_id has been used up
    not_found,          // the store knows no such lease or lock
    mode_conflict,      // the name is in use in another mode, or by a key that is no lock
    store_unavailable,  // nothing was done
    outcome_unknown,    // the reply was lost and could not be resolved in time; treat as not held
    not_durable,        // too few replicas acknowledged it in time; a grant was undone
    recovering,         // new grants wait after the store lost its memory; retry_after
    quota,              // more than one client may have; the message names the limit
    queue_full,         // a cap on waiters or calls is reached
    draining,           // this daemon is going away; try another
    cancelled,          // the caller went away; never seen by a client
};

struct Error {
    Reason reason;
    std::string message;                               // for people: what, the bound, what to do
    std::string field = {};                            // invalid_argument, unimplemented
    std::map<std::string, std::string> metadata = {};  // for programs: ErrorInfo.metadata
    std::optional<std::chrono::milliseconds> retry_after = {};
};

template <class T>
using Result = tl::expected<T, Error>;

using Failed = tl::unexpected<Error>;

// Shorthands: return fail(Reason::draining, "...").
inline Failed fail(Reason reason, std::string message) {
    return Failed{Error{reason, std::move(message)}};
}

inline Error recovering(std::chrono::milliseconds left) {
    return {Reason::recovering,
            "the store has lost its memory, or its clock was set forward; nothing is granted "
            "before every "
            "lease that could exist has ended",
            {},
            {{"remaining_ms", std::to_string(left.count())}},
            left};
}

inline Failed invalid(std::string field, std::string message) {
    return Failed{Error{Reason::invalid_argument, std::move(message), std::move(field)}};
}

inline Failed unimplemented(std::string field, std::string message) {
    return Failed{Error{Reason::unimplemented, std::move(message), std::move(field)}};
}

}  // namespace holdfast::core
