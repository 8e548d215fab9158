#pragma once

// Where a server listens.

#include <cstdint>
#include <string>

namespace holdfast::redis {

struct Address {
    std::string host;
    std::uint16_t port = 0;

    bool operator==(const Address&) const = default;
    std::string text() const {
        const bool ipv6 = host.find(':') != std::string::npos;
        return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
    }
};

}  // namespace holdfast::redis
