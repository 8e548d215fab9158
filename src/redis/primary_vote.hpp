#pragma once

// Decides where the primary is from what several Sentinels say. No I/O: Sentinels asks them.
//
// A Sentinel answers by its own view, and only a majority of them makes a new primary; so a view that is
// behind, or on the smaller side of a partition, names an old one that may still call itself master. (The
// config epoch would tell which view is newer, but Sentinel shows the old address with the new epoch for
// a while.) But a single Sentinel's view only moves forward. Hence:
//
//   unknown   until more than half of all Sentinels say the same; or each has answered or failed, then
//             what most of those say that answered: of equals, the one that comes first in the list
//             -> known
//   known A   -> known B, at once: a Sentinel that said A says B while its connection stands, by
//                +switch-master or when asked: it has moved, and so has the primary
//             -> known B: more than half of all Sentinels say B. If a switch has led away from B before,
//                as others may not have heard of it yet: and no other Sentinel says anything else
//             -> known B, only while A is not reached or is no primary: more of those that answer say B
//                than A, and no switch has led away from B
//             stays, otherwise: also when no Sentinel answers
//
// So one that was cut off or restarted, and comes back with an old answer, moves nobody; nor do those of a
// minority for as long as A is reached.

#include "redis/address.hpp"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast::redis {

class PrimaryVote {
public:
    explicit PrimaryVote(std::size_t sentinels) : seats_(sentinels) {}

    const std::optional<Address>& primary() const { return primary_; }

    // Sentinel number `seat` says this. True if the primary is another one now.
    bool says(std::size_t seat, Address address);
    // It is not reached, or does not know the primary. True as above.
    bool is_silent(std::size_t seat);
    // Its connection is new: what it says next is no move.
    void is_new(std::size_t seat) { seats_[seat].followed = false; }

    // The primary is reached, or not. True as above.
    void reached(const Address& server);
    bool failed(const Address& server);

    // What the Sentinel says now.
    const std::optional<Address>& answer(std::size_t seat) const { return seats_[seat].answer; }

private:
    struct Seat {
        std::optional<Address> answer;
        bool followed = false;  // it has answered since its connection is up
        bool tried = false;     // it has answered or failed
    };

    bool decide();
    bool move_to(const Address& address);
    std::optional<Address> favourite() const;
    std::size_t votes_for(const Address& address) const;
    std::size_t votes() const;
    bool all_tried() const;
    bool was_left(const Address& address) const;

    std::vector<Seat> seats_;
    std::optional<Address> primary_;
    std::vector<Address> left_;  // what switches have led away from
    bool failing_ = true;        // the primary is not reached
};

}  // namespace holdfast::redis
