#include "redis/redirect.hpp"

#include <charconv>
#include <string>

namespace holdfast::redis {
namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole ? std::optional{number} : std::nullopt;
}

}  // namespace

std::optional<Address> parse_node_address(std::string_view text, const Address& from) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    const auto port = number_in<std::uint16_t>(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    if (!port || *port == 0) {
        return std::nullopt;
    }
    const bool unknown = host.empty() || host == "?";
    return Address{unknown ? from.host : std::string{host}, *port};
}

std::optional<Redirect> parse_redirect(std::string_view error, const Address& from) {
    const auto kind_end = error.find(' ');
    const std::string_view kind = error.substr(0, kind_end);
    if (kind_end == std::string_view::npos || (kind != "MOVED" && kind != "ASK")) {
        return std::nullopt;
    }
    const std::string_view rest = error.substr(kind_end + 1);
    const auto slot_end = rest.find(' ');
    if (slot_end == std::string_view::npos) {
        return std::nullopt;
    }
    const auto slot = number_in<Slot>(rest.substr(0, slot_end));
    const auto to = parse_node_address(rest.substr(slot_end + 1), from);
    if (!slot || *slot >= kSlots || !to) {
        return std::nullopt;
    }
    return Redirect{kind == "ASK" ? Redirect::Kind::ask : Redirect::Kind::moved, *slot, *to};
}

}  // namespace holdfast::redis
