#pragma once

// Faults on purpose, to see that the simulation finds them. Only in the sources that are built for
// tests/sim with HOLDFAST_PLANT; false everywhere else, at no cost.

#ifdef HOLDFAST_PLANT

namespace holdfast::core {

enum class Plant {
    none,
    deadline_from_reply,      // a lease counts from the answer instead of from before the send
    unknown_renewal_extends,  // a renewal without an answer counts as one
    grants_to_nobody,         // a caller who has gone is granted the lock all the same
    no_resend_check,          // a grant that was read too late is told
};
inline Plant planted = Plant::none;

}  // namespace holdfast::core

#define HOLDFAST_PLANTED(fault) (::holdfast::core::planted == ::holdfast::core::Plant::fault)
#else
#define HOLDFAST_PLANTED(fault) false
#endif
