#pragma once

// Store URLs of a quorum. Of url.cpp alone.

#include "redis/settings.hpp"

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::redis {

// `one_server` is the beginning of a URL of one of them.
tl::expected<Settings, std::string> parse_quorum_url(std::string_view text,
                                                     std::string_view one_server);
std::string address_of_quorum(const Settings& settings);

}  // namespace holdfast::redis
