#pragma once

// Where the primary is, for connections that have no fixed address. A connection asks before each try
// and once more when it is through, connects to nothing else, and tells how it went. When the primary
// moves, Link::relocate() is called on each.
//
// Used from the thread of the connections.

#include "redis/address.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::redis {

class Topology {
public:
    virtual ~Topology() = default;

    // As far as is known; empty if it is not.
    virtual std::optional<Address> primary() const = 0;
    // Why it is not known. No secrets.
    virtual std::string why_unknown() const = 0;

    // A connection came up, and the server there says that it is a primary.
    virtual void reached(const Address& server) = 0;
    // It cannot be reached, has broken off, or is no primary.
    virtual void failed(const Address& server) = 0;
};

}  // namespace holdfast::redis
