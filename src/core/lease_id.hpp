#pragma once

// The lease id: one printable string that carries all that any daemon on the same store needs to
// renew or release a lease. Who has it owns the lease, so it is never logged whole.
//
// Layout before base64url (no padding), integers big-endian:
//   1 byte  format (1)
//   1 byte  mode
//   8 bytes fencing token
//  16 bytes holder id
//   8 bytes permits and limit, 4 each; only with mode permit
//   n bytes lock name, 1 to 512
//   4 bytes CRC-32 of all the above: tells a mangled id from a lease that is gone. It proves
//           nothing; ownership is proved by the holder id in the store.

#include "core/types.hpp"

#include <string>
#include <string_view>

namespace holdfast::core {

// One lease of one lock.
struct Lease {
    LockName name;
    HolderId holder;
    FencingToken token;
    Access access = {};
};

std::string encode_lease_id(const Lease& lease);

// invalid_argument, field lease_id: empty, truncated, mangled, or of a format this daemon does not
// know.
Result<Lease> decode_lease_id(std::string_view text);

}  // namespace holdfast::core
