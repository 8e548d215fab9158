#pragma once

// Which locks other clients of the same Redis know by a plain string key (redis-py, Dapr, what is like
// Redlock), so that Holdfast takes that key too: setting store.coexist. lua/_coexist.lua says how.

#include "core/types.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace holdfast::store {

class Coexistence {
public:
    Coexistence() = default;  // none

    // Rules "NAMES" or "NAMES=>KEYS": a lock whose name begins with NAMES has the plain key that begins with
    // KEYS instead; without KEYS it is the name. The first rule that fits a name counts. `prefix`: that of
    // the locks' records, which no plain key may begin with. Or what is wrong.
    static tl::expected<Coexistence, std::string> parse(const std::vector<std::string>& rules,
                                                        std::string_view prefix);

    // The lock's plain key, if it has one.
    std::optional<std::string> plain_key(const core::LockName& name) const {
        return rules_.empty() ? std::nullopt : find(name.text());
    }
    // What the plain keys begin with.
    std::vector<std::string> key_prefixes() const;

private:
    struct Rule {
        std::string names;
        std::string keys;
    };
    std::optional<std::string> find(const std::string& name) const;

    std::vector<Rule> rules_;
};

}  // namespace holdfast::store
