#pragma once

// What the store's user may not do, of what is needed in scripts (lua/permissions.lua). Outside scripts
// Redis' own error names the command.

#include "core/lock_store.hpp"
#include "store/canary.hpp"
#include "store/script_runner.hpp"

#include <string>
#include <vector>

namespace holdfast::store {

class Permissions {
public:
    // `prefix`: that of the locks' keys; `plain_prefixes`: those of plain keys (coexistence.hpp).
    Permissions(redis::Client& client,
                const Canary& canary,
                const std::string& prefix,
                const std::vector<std::string>& plain_prefixes = {});

    // Asks. What is known stays as it is if no answer comes, or if there is no canary yet.
    void check(core::Milliseconds timeout);
    // In words for an operator; empty: nothing is missing.
    const std::string& missing() const { return missing_; }

private:
    std::vector<std::string> never_keys() const;
    void learn(const core::StoreResult<redis::Reply>& reply);

    ScriptRunner runner_;
    ScriptPair script_;
    const Canary& canary_;
    std::vector<std::string> prefixes_;  // of locks' keys and plain keys
    std::string missing_;
    bool checking_ = false;
};

}  // namespace holdfast::store
