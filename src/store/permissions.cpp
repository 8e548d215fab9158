#include "store/permissions.hpp"

#include "redis/hash_slot.hpp"
#include "store/lua_scripts.hpp"

#include <utility>

namespace holdfast::store {
namespace {

constexpr std::string_view kChannel = "holdfast:permissions";

// In no lock's name.
constexpr char kMark = '\x01';

}  // namespace

Permissions::Permissions(redis::Client& client,
                         const Canary& canary,
                         const std::string& prefix,
                         const std::vector<std::string>& plain_prefixes)
    : runner_(client), script_(kLua_permissions), canary_(canary), prefixes_{prefix} {
    prefixes_.insert(prefixes_.end(), plain_prefixes.begin(), plain_prefixes.end());
}

// Like those of locks and plain keys, but of none. In a Cluster they have to be in the canary's slot; if the
// prefix has a tag of its own they cannot, and others are as good.
std::vector<std::string> Permissions::never_keys() const {
    std::vector<std::string> keys;
    const bool apart = !canary_.tag().empty();
    for (const std::string& prefix : prefixes_) {
        std::string key =
            prefix + kMark + "permissions" + (apart ? '{' + canary_.tag() + '}' : std::string{});
        const bool fits = !apart || redis::slot_of(key) == redis::slot_of(canary_.key());
        keys.push_back(fits ? std::move(key) : canary_.key() + kMark);
    }
    return keys;
}

void Permissions::check(core::Milliseconds timeout) {
    if (canary_.key().empty() || std::exchange(checking_, true)) {
        return;
    }
    const std::vector<std::string> never = never_keys();
    std::vector<std::string_view> keys{canary_.key()};
    keys.insert(keys.end(), never.begin(), never.end());
    runner_.run({script_, 0, keys, {kChannel}, timeout},
                [this](const core::StoreResult<redis::Reply>& reply) {
                    checking_ = false;
                    learn(reply);
                });
}

void Permissions::learn(const core::StoreResult<redis::Reply>& reply) {
    if (!reply) {
        // The canary's key is permitted, or there would be no canary.
        if (reply.error().message.find("NOPERM") != std::string::npos) {
            missing_ = (prefixes_.size() > 1 ? "keys of locks, or of store.coexist: "
                                             : "keys of locks: ") +
                       reply.error().message;
        }
        return;
    }
    missing_.clear();
    for (std::size_t i = 0; i < reply->value().size(); ++i) {
        missing_ += (i > 0 ? ", " : "") + std::string{reply->value()[i].text()};
    }
}

}  // namespace holdfast::store
