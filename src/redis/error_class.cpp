#include "redis/error_class.hpp"

#include <algorithm>
#include <array>

namespace holdfast::redis {
namespace {

std::string_view first_word(std::string_view text) {
    return text.substr(0, text.find(' '));
}

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 15> kNotExecuted{"NOSCRIPT",
                                                        "MOVED",
                                                        "ASK",
                                                        "TRYAGAIN",
                                                        "CLUSTERDOWN",
                                                        "LOADING",
                                                        "MASTERDOWN",
                                                        "READONLY",
                                                        "MISCONF",
                                                        "NOREPLICAS",
                                                        "OOM",
                                                        "BUSY",
                                                        "NOAUTH",
                                                        "NOPERM",
                                                        "CROSSSLOT"};
constexpr std::array<std::string_view, 3> kReconnect{"NOAUTH", "READONLY", "MASTERDOWN"};

}  // namespace

bool definitely_not_executed(std::string_view error) {
    return is_one_of(first_word(error), kNotExecuted) ||
           error.find("max number of clients") != std::string_view::npos;
}

bool needs_reconnect(std::string_view error) {
    return is_one_of(first_word(error), kReconnect);
}

}  // namespace holdfast::redis
