#pragma once

// The lease id: one printable string that carries all that any daemon on the same store needs to
// renew or release a lease, or the leases of a set that was taken together. Who has it owns them, so it
// is never logged whole.
//
// Layout of one lease before base64url (no padding), integers big-endian:
//   1 byte  format (1)
//   1 byte  mode in the low 3 bits; above them how many replicas must confirm each renewal (0 to 16)
//   8 bytes fencing token
//  16 bytes holder id
//   8 bytes permits and limit, 4 each; only with mode permit
//   n bytes lock name, 1 to 512
//   4 bytes CRC-32 of all the above: tells a mangled id from a lease that is gone. It proves
//           nothing; ownership is proved by the holder id in the store.
// Of a set:
//   1 byte  format (2)
//   1 byte  mode, exclusive or shared, and replicas, as above
//  16 bytes secret of the set; the holder ids are derived from it (holder_ids.hpp)
//   1 byte  how many locks; for each, sorted by name:
//     8 bytes fencing token
//     2 bytes length of the name
//     n bytes lock name
//   4 bytes CRC-32, as above

#include "core/types.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::core {

// One lease of one lock.
struct Lease {
    LockName name;
    HolderId holder;
    FencingToken token;
    Access access = {};
    // How many replicas of the store have acknowledged the grant, at least, and must acknowledge each
    // renewal. 0: the primary alone counts.
    std::uint8_t replicas = 0;
};

// Leases of several locks that were taken together and end together.
struct LeaseSet {
    static constexpr std::size_t kMaxLocks = 64;

    HolderId secret;            // each lease's holder id is holder_in_set() of it
    std::vector<Lease> leases;  // of one mode, sorted by the bytes of their names; none twice
};

std::string encode_lease_id(const Lease& lease);
std::string encode_lease_id(const LeaseSet& set);

// invalid_argument, field lease_id: empty, truncated, mangled, or of a format this daemon does not
// know.
Result<std::variant<Lease, LeaseSet>> decode_any_lease_id(std::string_view text);
// For what can be done with one lease only: that of a set is invalid_argument, too.
Result<Lease> decode_lease_id(std::string_view text);

}  // namespace holdfast::core
