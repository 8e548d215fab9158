// RedisLockStore::list: SCAN for the keys, then one script that reads what is found.

#include "store/redis_lock_store.hpp"
#include "store/replies.hpp"

#include <memory>
#include <utility>

namespace holdfast::store {
namespace {

// SCANs for one page: so many keys of others may lie between two locks before a page comes back
// short. Bounds the work of one call.
constexpr int kMaxScans = 50;
constexpr std::string_view kStart = "0";

// The prefix as a glob pattern that matches it literally.
std::string pattern_of(std::string_view prefix) {
    std::string pattern;
    for (const char c : prefix) {
        if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') {
            pattern += '\\';
        }
        pattern += c;
    }
    return pattern + '*';
}

struct Scan : std::enable_shared_from_this<Scan> {
    using Keys = std::vector<std::string>;
    using Done = core::StoreDone<std::pair<Keys, std::string>>;  // keys, and where to go on

    Scan(ScriptRunner& through, std::string begins, std::size_t wanted, core::Milliseconds each)
        : runner(through),
          prefix(std::move(begins)),
          pattern(pattern_of(prefix)),
          limit(wanted),
          timeout(each) {}

    void step(std::string cursor) {
        const std::string count = std::to_string(limit);
        runner.command({"SCAN", cursor, "MATCH", pattern, "COUNT", count},
                       timeout,
                       [self = shared_from_this()](core::StoreResult<redis::Reply> reply) {
                           self->on_reply(std::move(reply));
                       });
    }

    void on_reply(core::StoreResult<redis::Reply> reply) {
        if (!reply) {
            done(tl::unexpected(reply.error()));
            return;
        }
        const redis::Value found = reply->value()[1];
        for (std::size_t i = 0; i < found.size(); ++i) {
            if (found[i].text().starts_with(prefix)) {  // whatever a broken server says
                keys.emplace_back(found[i].text());
            }
        }
        std::string next{reply->value()[0].text()};
        if (next.empty()) {
            done(tl::unexpected(unexpected_reply()));
        } else if (next == kStart) {
            done(std::pair{std::move(keys), std::string{}});
        } else if (keys.size() >= limit || ++scans >= kMaxScans) {
            done(std::pair{std::move(keys), std::move(next)});
        } else {
            step(std::move(next));
        }
    }

    ScriptRunner& runner;
    std::string prefix;
    std::string pattern;
    std::size_t limit;
    core::Milliseconds timeout;
    Keys keys;
    Done done;
    int scans = 0;
};

}  // namespace

void RedisLockStore::scan(std::string_view prefix,
                          std::string_view from,
                          std::size_t limit,
                          core::Milliseconds timeout,
                          core::StoreDone<Scanned> done) {
    auto scan =
        std::make_shared<Scan>(runner_, options_.prefix + std::string{prefix}, limit, timeout);
    scan->done = [size = options_.prefix.size(), done = std::move(done)](auto found) mutable {
        if (found) {
            for (std::string& key : found->first) {
                key.erase(0, size);
            }
        }
        done(std::move(found));
    };
    scan->step(std::string{from.empty() ? kStart : from});
}

void RedisLockStore::list(std::string_view prefix,
                          std::string_view from,
                          std::size_t limit,
                          core::Milliseconds timeout,
                          core::StoreDone<core::LockPage> done) {
    scan(prefix, from, limit, timeout, [this, timeout, done = std::move(done)](auto found) mutable {
        if (!found) {
            done(tl::unexpected(found.error()));
            return;
        }
        inspect_names(
            found->first,
            timeout,
            [next = std::move(found->second), done = std::move(done)](auto locks) mutable {
                if (locks) {
                    done(core::LockPage{*std::move(locks), std::move(next)});
                } else {
                    done(tl::unexpected(locks.error()));
                }
            });
    });
}

// Those of the names that are held locks.
void RedisLockStore::inspect_names(const std::vector<std::string>& names,
                                   core::Milliseconds timeout,
                                   core::StoreDone<std::vector<core::LockState>> done) {
    std::vector<std::string> keys;
    for (const std::string& name : names) {
        keys.push_back(options_.prefix + name);
    }
    ScriptRunner::Call call{inspect_, 0, {keys.begin(), keys.end()}, {}, timeout};
    std::vector<std::string> plain_keys;
    plain_keys.reserve(names.size());
    for (const std::string& text : names) {
        const auto name = core::LockName::parse(text);
        auto plain = name ? plain_key_of(*name) : std::nullopt;
        call.arguments.emplace_back(plain ? "1" : "");
        if (plain) {
            call.keys.emplace_back(plain_keys.emplace_back(*std::move(plain)));
        }
    }
    if (plain_keys.empty()) {
        call.arguments.clear();
    }
    runner_.run(
        call, [names, done = std::move(done)](core::StoreResult<redis::Reply> reply) mutable {
            if (!reply) {
                done(tl::unexpected(reply.error()));
                return;
            }
            std::vector<core::LockState> held;
            for (std::size_t i = 0; i < names.size(); ++i) {
                const auto name = core::LockName::parse(names[i]);  // else a foreign key: no lock
                auto state = name ? decode_state(*name, reply->value()[i + 1])
                                  : core::StoreResult<std::optional<core::LockState>>{};
                if (state && *state && !(*state)->holders.empty()) {
                    held.push_back(**std::move(state));
                }
            }
            done(std::move(held));
        });
}

}  // namespace holdfast::store
