#include "redis/cluster_map.hpp"

#include "redis/redirect.hpp"

#include <algorithm>
#include <charconv>

namespace holdfast::redis {
namespace {

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(by), text.size());
        if (end > 0) {
            parts.push_back(text.substr(0, end));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

bool has_flag(std::string_view flags, std::string_view wanted) {
    const auto all = split(flags, ',');
    return std::find(all.begin(), all.end(), wanted) != all.end();
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole ? std::optional{number} : std::nullopt;
}

// ip:port@cport[,hostname[,aux=value]*]
std::optional<Address> address_in(std::string_view text, const Address& asked, bool by_name) {
    const auto parts = split(text, ',');
    if (parts.empty()) {
        return std::nullopt;
    }
    auto address = parse_node_address(parts[0].substr(0, parts[0].find('@')), asked);
    if (address && by_name && parts.size() > 1 && parts[1].find('=') == std::string_view::npos) {
        address->host = parts[1];
    }
    return address;
}

// "5", "5-7"; those that are being moved stand in brackets.
std::optional<std::pair<Slot, Slot>> range_in(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = number_in<Slot>(text.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : number_in<Slot>(text.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= kSlots) {
        return std::nullopt;
    }
    return std::pair{*first, *last};
}

// "[5->-id]": on its way there; "[5-<-id]": from there.
std::optional<Slot> leaving_in(std::string_view text) {
    const auto dash = text.find('-');
    if (!text.starts_with('[') || !text.substr(std::min(dash, text.size())).starts_with("->-")) {
        return std::nullopt;
    }
    const auto slot = number_in<Slot>(text.substr(1, dash - 1));
    return slot && *slot < kSlots ? slot : std::nullopt;
}

// id address flags primary ping pong epoch link slot...
std::optional<ClusterNode> node_in(std::string_view line, const Address& asked, bool by_name) {
    constexpr std::size_t kSlotsAt = 8;
    const auto words = split(line, ' ');
    if (words.size() < kSlotsAt) {
        return std::nullopt;
    }
    const auto address = address_in(words[1], asked, by_name);
    const std::string_view flags = words[2];
    if (!address || has_flag(flags, "noaddr") || has_flag(flags, "handshake")) {
        return std::nullopt;
    }
    ClusterNode node{std::string{words[0]},
                     *address,
                     has_flag(flags, "myself"),
                     has_flag(flags, "master"),
                     has_flag(flags, "fail"),
                     number_in<std::uint64_t>(words[6]).value_or(0),
                     {},
                     {}};
    for (std::size_t at = kSlotsAt; at < words.size(); ++at) {
        if (const auto range = range_in(words[at])) {
            node.slots.push_back(*range);
        } else if (const auto slot = leaving_in(words[at])) {
            node.leaving.push_back(*slot);
        }
    }
    return node;
}

}  // namespace

ClusterView parse_cluster_nodes(std::string_view text, const Address& asked, bool by_name) {
    ClusterView view;
    for (std::string_view line : split(text, '\n')) {
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (auto node = node_in(line, asked, by_name)) {
            view.push_back(*std::move(node));
        }
    }
    return view;
}

std::vector<ClusterMap::Change> ClusterMap::learn(const ClusterView& view) {
    std::vector<Change> changes;
    // Of those slots that the asked node does not call its own, but we do.
    std::vector<Seat> said(kSlots);
    std::int32_t asked = kNobody;
    for (const ClusterNode& node : view) {
        const std::int32_t index = index_of(node.address);
        ids_[index] = node.id;
        asked = node.myself ? index : asked;
        for (const auto& [first, last] : node.slots) {
            std::fill(said.begin() + first, said.begin() + last + 1, Seat{index, node.epoch});
        }
    }
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        Seat& seat = seats_[slot];
        const Seat& word = said[slot];
        const bool newer = word.owner != kNobody && word.epoch >= seat.epoch;
        const bool given_up = seat.owner != kNobody && seat.owner == asked && word.owner != asked;
        if (newer || given_up) {
            set(seat, word.owner, changes);
            seat.epoch = word.epoch;
        }
    }
    last_ = view;
    if (!known_) {
        changes.clear();
    }
    known_ = known_ || uncovered() < kSlots;
    return changes;
}

void ClusterMap::set(Seat& seat, std::int32_t owner, std::vector<Change>& changes) {
    if (seat.owner == owner) {
        return;
    }
    if (owner != kNobody) {
        Change change{seat.owner == kNobody ? std::nullopt : std::optional{addresses_[seat.owner]},
                      addresses_[owner]};
        if (std::find(changes.begin(), changes.end(), change) == changes.end()) {
            changes.push_back(std::move(change));
        }
    }
    seat.owner = owner;
}

std::optional<ClusterMap::Change> ClusterMap::moved(Slot slot, const Address& to) {
    std::vector<Change> changes;
    set(seats_[slot], index_of(to), changes);
    return changes.empty() ? std::nullopt : std::optional{changes.front()};
}

void ClusterMap::doubt(const Address& owner) {
    const std::int32_t index = find(owner);
    for (Seat& seat : seats_) {
        if (index != kNobody && seat.owner == index) {
            seat.epoch = 0;
        }
    }
}

std::optional<Address> ClusterMap::owner(Slot slot) const {
    const Seat& seat = seats_[slot];
    return seat.owner == kNobody ? std::nullopt : std::optional{addresses_[seat.owner]};
}

std::size_t ClusterMap::uncovered() const {
    return std::count_if(
        seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.owner == kNobody; });
}

std::vector<std::pair<Slot, Slot>> ClusterMap::slots_of(const Address& owner) const {
    const std::int32_t index = find(owner);
    std::vector<std::pair<Slot, Slot>> ranges;
    for (std::size_t slot = 0; slot < kSlots && index != kNobody; ++slot) {
        const auto number = static_cast<Slot>(slot);
        if (seats_[slot].owner != index) {
            continue;
        }
        if (!ranges.empty() && ranges.back().second + 1 == number) {
            ranges.back().second = number;
        } else {
            ranges.emplace_back(number, number);
        }
    }
    return ranges;
}

bool ClusterMap::owns(const Address& owner, Slot slot) const {
    const std::int32_t index = find(owner);
    return index != kNobody && seats_[slot].owner == index;
}

std::uint64_t ClusterMap::fingerprint() const {
    constexpr std::uint64_t kBasis = 14695981039346656037U;  // FNV-1a
    constexpr std::uint64_t kPrime = 1099511628211U;
    std::uint64_t hash = kBasis;
    std::int32_t before = kNobody - 1;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        const std::int32_t owner = seats_[slot].owner;
        if (owner == before) {
            continue;
        }
        before = owner;
        const std::string text =
            std::to_string(slot) + (owner == kNobody ? "" : addresses_[owner].text());
        for (const char c : text) {
            hash = (hash ^ static_cast<std::uint8_t>(c)) * kPrime;
        }
    }
    return hash;
}

std::vector<Address> ClusterMap::primaries() const {
    std::vector<bool> wanted(addresses_.size());
    for (const Seat& seat : seats_) {
        if (seat.owner != kNobody) {
            wanted[seat.owner] = true;
        }
    }
    for (const ClusterNode& node : last_) {
        if (node.primary && !node.failing) {
            wanted[find(node.address)] = true;
        }
    }
    std::vector<Address> found;
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
        if (wanted[i]) {
            found.push_back(addresses_[i]);
        }
    }
    return found;
}

std::string ClusterMap::id_of(const Address& address) const {
    const std::int32_t index = find(address);
    return index == kNobody ? std::string{} : ids_[index];
}

std::int32_t ClusterMap::find(const Address& address) const {
    const auto found = std::find(addresses_.begin(), addresses_.end(), address);
    return found == addresses_.end() ? kNobody
                                     : static_cast<std::int32_t>(found - addresses_.begin());
}

std::int32_t ClusterMap::index_of(const Address& address) {
    const std::int32_t index = find(address);
    if (index != kNobody) {
        return index;
    }
    addresses_.push_back(address);
    ids_.emplace_back();
    return static_cast<std::int32_t>(addresses_.size() - 1);
}

}  // namespace holdfast::redis
