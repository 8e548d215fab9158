#pragma once

// A Lua script as Redis runs it: by its SHA-1, with the source at hand for a Redis that does not
// have it (after a restart, a failover, SCRIPT FLUSH).

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::store {

class Script {
public:
    // `source` must live as long as the script (they are constants, embedded at build time).
    explicit Script(std::string_view source);

    const std::string& sha() const { return sha_; }

    // The same command with EVAL and the source in the place of EVALSHA and the SHA.
    std::string as_eval(std::string_view evalsha_wire) const;

private:
    std::string_view source_;
    std::string sha_;  // 40 hexadecimal digits
};

// The source as Redis 6.2 takes it: before 7.0 there are no flags in a first line "#!lua".
std::string_view without_flags(std::string_view source);

}  // namespace holdfast::store
