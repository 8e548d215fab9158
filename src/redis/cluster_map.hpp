#pragma once

// Which node of a Cluster serves which slot, from what several nodes say. No I/O: Cluster asks them.
//
// Each node has a view of its own (CLUSTER NODES), which may be behind: after a failover, or on the smaller
// side of a partition. Whoever takes slots over, by a failover or as they are moved to it, gets a greater
// config epoch than all before. Hence, for each slot:
//
//   a view names an owner       it is taken, unless its epoch is smaller than that of the owner known
//   a view is the owner's own   what it says of a slot that it does not have (any more) is taken
//   MOVED                       is taken: it is the owner's own word. A view that is behind may take it back,
//                               and the next MOVED forward again
//   the owner is not reached    from then on any view is taken, so that a Cluster that was made anew is
//                               found, too
//
// (CLUSTER SLOTS has no epochs, and does not name nodes without slots.)

#include "redis/address.hpp"
#include "redis/hash_slot.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::redis {

// One line of CLUSTER NODES.
struct ClusterNode {
    std::string id;  // 40 hexadecimal digits
    Address address;
    bool myself = false;  // who was asked
    bool primary = false;
    bool failing = false;  // most of the others do not reach it
    std::uint64_t epoch = 0;
    std::vector<std::pair<Slot, Slot>> slots;  // from, to
    std::vector<Slot> leaving;                 // on their way to others: it says so only of itself
};
using ClusterView = std::vector<ClusterNode>;

// `asked`: where the text is from. `by_name`: nodes that announce a host name are called by it (their
// certificates are for it). Nodes that cannot be reached by now (no address, handshake) are left out.
ClusterView parse_cluster_nodes(std::string_view text, const Address& asked, bool by_name);

class ClusterMap {
public:
    // A slot has gone from one owner to another; from none: it had none, as far as was known.
    struct Change {
        std::optional<Address> from;
        Address to;
        bool operator==(const Change&) const = default;
    };

    // What one node says. All changes but those of the first view, none twice.
    std::vector<Change> learn(const ClusterView& view);
    // What MOVED says.
    std::optional<Change> moved(Slot slot, const Address& to);
    // It cannot be reached.
    void doubt(const Address& owner);

    bool known() const { return known_; }
    std::optional<Address> owner(Slot slot) const;
    // Slots that nobody serves.
    std::size_t uncovered() const;
    std::vector<std::pair<Slot, Slot>> slots_of(const Address& owner) const;
    bool owns(const Address& owner, Slot slot) const;
    // Changes with the owner of any slot.
    std::uint64_t fingerprint() const;

    // All that serve slots, and those primaries without any that the last view has.
    std::vector<Address> primaries() const;
    // All of the last view, replicas too.
    const ClusterView& last_view() const { return last_; }
    // Empty if no view has named it.
    std::string id_of(const Address& address) const;

private:
    static constexpr std::int32_t kNobody = -1;
    struct Seat {
        std::int32_t owner = kNobody;  // in addresses_
        std::uint64_t epoch = 0;
    };
    std::int32_t index_of(const Address& address);
    std::int32_t find(const Address& address) const;
    void set(Seat& seat, std::int32_t owner, std::vector<Change>& changes);

    bool known_ = false;
    std::vector<Seat> seats_ = std::vector<Seat>(kSlots);
    std::vector<Address> addresses_;
    std::vector<std::string> ids_;  // as addresses_
    ClusterView last_;
};

}  // namespace holdfast::redis
