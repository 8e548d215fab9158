#pragma once

// What a node of a Cluster answers to a command for a slot that it does not serve. The command was not
// executed.
//
//   moved  the slot is another node's, and stays there
//   ask    the slot is being moved there, and this key is not here (any more): this command, and only this,
//          goes there, behind ASKING

#include "redis/address.hpp"
#include "redis/hash_slot.hpp"

#include <optional>
#include <string_view>

namespace holdfast::redis {

struct Redirect {
    enum class Kind { moved, ask };
    Kind kind;
    Slot slot;
    Address to;

    bool operator==(const Redirect&) const = default;
};

// `error`: "MOVED 3999 host:port", or ASK. A node that does not know its own host names none: it is that
// of `from`, who said so. Empty if it is another error.
std::optional<Redirect> parse_redirect(std::string_view error, const Address& from);

// "host:port", "[ipv6]:port", "ipv6:port" as Redis has it, ":port" (the host of `from`).
std::optional<Address> parse_node_address(std::string_view text, const Address& from);

}  // namespace holdfast::redis
