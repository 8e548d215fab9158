#pragma once

// What stations say to each other over their inboxes, beside the scripts' notices: a letter, then an
// array of strings in RESP. Lists are rows: a tag, how many fields follow, and the fields; a reader
// skips rows and fields that it does not know, so that daemons of neighbouring versions understand
// each other.
//
// Whoever may use the store can publish: what is broken, too large, or not clean text is no message.

#include "core/peers.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::store {

// A larger payload is ignored; the largest answer that we send is some 400 kB.
inline constexpr std::size_t kMaxPeerMessage = 1 << 20;
// Leases in one message.
inline constexpr std::size_t kMaxOffers = 100;

struct Question {
    std::string id;
    std::string from;  // the station to answer to
    core::PeerQuestion what;
};

struct Answer {
    std::string id;  // the question's
    std::string station;
    core::PeerAnswer what;
};

// Leases that are renewed without a listener, by a station that goes away.
struct Offers {
    struct Offer {
        core::Lease lease;
        core::Ttl ttl;
        std::int64_t until_us = 0;  // renewed so long; in the store's time
        std::string from;           // the station that renews it
    };
    std::int64_t valid_until_us = 0;  // in the store's time: not taken up later than that
    std::vector<Offer> offers;
};

using PeerMessage = std::variant<Question, Answer, Offers>;

std::string encode(const Question& question);
std::string encode(const Answer& answer);
std::string encode(const Offers& offers);
std::optional<PeerMessage> decode_peer_message(std::string_view payload);

// Eight letters and digits, as every station's id is made of.
bool is_station(std::string_view text);

}  // namespace holdfast::store
