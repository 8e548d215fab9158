#include "redis/primary_vote.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::redis {

bool PrimaryVote::says(std::size_t seat, Address address) {
    Seat& one = seats_[seat];
    const bool followed = std::exchange(one.followed, true);
    const auto before = std::exchange(one.answer, std::move(address));
    one.tried = true;
    if (followed && primary_ && before == primary_ && *one.answer != *primary_) {
        return move_to(Address{*one.answer});
    }
    return decide();
}

bool PrimaryVote::is_silent(std::size_t seat) {
    seats_[seat].answer.reset();
    seats_[seat].followed = false;
    seats_[seat].tried = true;
    return decide();
}

void PrimaryVote::reached(const Address& server) {
    if (primary_ == server) {
        failing_ = false;
    }
}

bool PrimaryVote::failed(const Address& server) {
    if (primary_ != server) {
        return false;
    }
    failing_ = true;
    return decide();
}

bool PrimaryVote::decide() {
    const auto best = favourite();
    if (!best || best == primary_) {
        return false;
    }
    const std::size_t for_best = votes_for(*best);
    const bool left = was_left(*best);
    if (2 * for_best > seats_.size() && (!left || for_best == votes())) {
        return move_to(*best);
    }
    if (!primary_) {
        return all_tried() && move_to(*best);
    }
    return failing_ && !left && for_best > votes_for(*primary_) && move_to(*best);
}

bool PrimaryVote::move_to(const Address& address) {
    std::erase(left_, address);
    if (primary_) {
        left_.push_back(*primary_);
    }
    primary_ = address;
    failing_ = true;
    return true;
}

// What most say; of equals the first.
std::optional<Address> PrimaryVote::favourite() const {
    std::optional<Address> best;
    for (const Seat& seat : seats_) {
        if (seat.answer && (!best || votes_for(*seat.answer) > votes_for(*best))) {
            best = seat.answer;
        }
    }
    return best;
}

std::size_t PrimaryVote::votes_for(const Address& address) const {
    return static_cast<std::size_t>(std::count_if(
        seats_.begin(), seats_.end(), [&](const Seat& seat) { return seat.answer == address; }));
}

std::size_t PrimaryVote::votes() const {
    return static_cast<std::size_t>(std::count_if(
        seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.answer.has_value(); }));
}

bool PrimaryVote::was_left(const Address& address) const {
    return std::find(left_.begin(), left_.end(), address) != left_.end();
}

bool PrimaryVote::all_tried() const {
    return std::all_of(seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.tried; });
}

}  // namespace holdfast::redis
