#include "store/redis_lock_store.hpp"

#include "store/letters.hpp"
#include "store/lua_scripts.hpp"
#include "store/replies.hpp"

#include <absl/strings/str_format.h>

#include <utility>

namespace holdfast::store {
namespace {

using core::Milliseconds;
using std::chrono::microseconds;

std::string_view letter_of(core::Revocation how) {
    switch (how) {
        case core::Revocation::yield:
            return "r";
        case core::Revocation::lost:
            return "f";
        case core::Revocation::at_once:
            return "i";
    }
    return "";
}

// Decodes the value with `decode`, or passes the error on.
template <class Answer, class Decode>
ScriptRunner::Done decoded(core::StoreDone<Answer> done, Decode decode) {
    return [done = std::move(done),
            decode = std::move(decode)](core::StoreResult<redis::Reply> reply) mutable {
        if (reply) {
            done(decode(reply->value()));
        } else {
            done(tl::unexpected(reply.error()));
        }
    };
}

}  // namespace

RedisLockStore::RedisLockStore(redis::Client& client, const core::Clock& clock, Options options)
    : runner_(client),
      canary_(
          runner_,
          clock,
          options.prefix,
          options.canary,
          [this](const redis::Value& time, core::Instant sent_at) { learn_time(time, sent_at); }),
      clock_(clock),
      options_(std::move(options)),
      retention_(std::to_string(options_.retention.count())),
      acquire_(kLua_acquire),
      release_(kLua_release),
      cancel_(kLua_cancel),
      renew_(kLua_renew),
      inspect_(kLua_inspect),
      convert_(kLua_convert),
      leave_(kLua_leave),
      adopt_(kLua_adopt),
      revoke_(kLua_revoke) {}

void RedisLockStore::release(const core::Lease& lease,
                             const std::optional<core::Want>& next,
                             Milliseconds timeout,
                             core::StoreDone<core::ReleaseAnswer> done) {
    const std::string key = key_of(lease.name);
    const auto plain = plain_key_of(lease.name);
    std::vector<std::string> arguments{std::string{lease.holder.view()},
                                       std::to_string(lease.token.value),
                                       options_.station,
                                       retention_,
                                       canary_.known()};
    if (next) {
        arguments.push_back(not_after(timeout));
        arguments.push_back(std::to_string(floor_.value));
        append(arguments, *next, plain.has_value());
    } else if (plain) {
        arguments.emplace_back("0");
    }
    runner_.run({release_,
                 affinity_of(lease.name),
                 keys_with(with_canary(key), plain),
                 {arguments.begin(), arguments.end()},
                 timeout},
                decoded(std::move(done), [this, sent_at = clock_.now()](const redis::Value& reply) {
                    learn_time(reply[1], sent_at);
                    look_if_lost(reply);
                    auto answer = decode_release(reply);
                    if (answer && answer->handed) {
                        learn_token(*answer->handed);
                        answer->handed = believed(*std::move(answer->handed), sent_at);
                    }
                    return answer;
                }));
}

void RedisLockStore::cancel(const core::LockName& name,
                            core::HolderId holder,
                            core::HolderId call,
                            Milliseconds timeout,
                            core::StoreDone<std::monostate> done) {
    const std::string key = key_of(name);
    const auto plain = plain_key_of(name);
    runner_.run({cancel_,
                 affinity_of(name),
                 keys_with({key}, plain),
                 {holder.view(), call.view(), options_.station, retention_},
                 timeout,
                 true},
                decoded(std::move(done), [this, sent_at = clock_.now()](const redis::Value& reply) {
                    learn_time(reply[1], sent_at);
                    return decode_done(reply);
                }));
}

void RedisLockStore::leave(const core::LockName& name,
                           Milliseconds timeout,
                           core::StoreDone<std::monostate> done) {
    const std::string key = key_of(name);
    runner_.run({leave_, affinity_of(name), {key}, {options_.station, retention_}, timeout, true},
                decoded(std::move(done), [this, sent_at = clock_.now()](const redis::Value& reply) {
                    learn_time(reply[1], sent_at);
                    return decode_done(reply);
                }));
}

void RedisLockStore::downgrade(const core::Lease& lease,
                               core::Ttl ttl,
                               Milliseconds timeout,
                               core::StoreDone<core::RenewAnswer> done) {
    take_over(convert_, lease, ttl, {}, timeout, std::move(done));
}

void RedisLockStore::adopt(const core::Lease& lease,
                           core::Ttl ttl,
                           std::string_view from,
                           Milliseconds timeout,
                           core::StoreDone<core::RenewAnswer> done) {
    take_over(adopt_, lease, ttl, from, timeout, std::move(done));
}

// The two that are about one lease and say who watches it.
void RedisLockStore::take_over(const ScriptPair& script,
                               const core::Lease& lease,
                               core::Ttl ttl,
                               std::string_view from,
                               Milliseconds timeout,
                               core::StoreDone<core::RenewAnswer> done) {
    const std::string key = key_of(lease.name);
    const auto plain = plain_key_of(lease.name);
    const std::string token = std::to_string(lease.token.value);
    const std::string keep = in_us(core::store_hold(ttl));
    runner_.run(
        {script,
         affinity_of(lease.name),
         keys_with(with_canary(key), plain),
         {lease.holder.view(), token, keep, options_.station, retention_, canary_.known(), from},
         timeout},
        decoded(std::move(done), [this, lease, sent_at = clock_.now()](const redis::Value& reply) {
            learn_time(reply[1], sent_at);
            look_if_lost(reply);
            return decode_take_over(reply, lease);
        }));
}

void RedisLockStore::renew(std::span<const core::RenewCommand> commands,
                           Milliseconds timeout,
                           core::StoreDone<std::vector<core::RenewAnswer>> done) {
    std::vector<std::string> texts;  // of each: key, plain key, token, time, units, limit
    texts.reserve(commands.size() * 6);
    std::vector<std::string_view> plain_keys;
    ScriptRunner::Call call{renew_, affinity_of(commands.front().lease.name), {}, {}, timeout};
    call.arguments = {retention_, canary_.known(), options_.station};
    for (const auto& [lease, ttl, held] : commands) {
        call.keys.push_back(texts.emplace_back(key_of(lease.name)));
        call.arguments.push_back(lease.holder.view());
        call.arguments.push_back(texts.emplace_back(std::to_string(lease.token.value)));
        call.arguments.push_back(texts.emplace_back(in_us(core::store_hold(ttl))));
        call.arguments.push_back(letter_of(lease.access, false));
        call.arguments.push_back(texts.emplace_back(std::to_string(lease.access.permits)));
        call.arguments.push_back(texts.emplace_back(std::to_string(lease.access.limit)));
        if (auto plain = plain_key_of(lease.name)) {
            plain_keys.emplace_back(texts.emplace_back(*std::move(plain)));
            call.arguments.emplace_back(held ? "k1" : "k");
        } else {
            call.arguments.emplace_back(held ? "1" : "");
        }
    }
    call.keys.insert(call.keys.end(), plain_keys.begin(), plain_keys.end());
    if (!options_.canary.apart) {
        call.keys.push_back(canary_.key());
    }
    runner_.run(
        call,
        decoded(std::move(done),
                [this, expected = commands.size(), sent_at = clock_.now()](const auto& reply) {
                    learn_time(reply[0], sent_at);
                    look_if_lost(reply);
                    return decode_renew(reply, expected);
                }));
}

void RedisLockStore::revoke(const core::RevokeCommand& command,
                            Milliseconds timeout,
                            core::StoreDone<std::vector<core::HolderState>> done) {
    const std::string key = key_of(command.name);
    const auto plain = plain_key_of(command.name);
    const std::string token = std::to_string(command.token.value);
    const std::string closes = in_us(command.closes_in);
    runner_.run(
        {revoke_,
         affinity_of(command.name),
         keys_with({key}, plain),
         {token, closes, letter_of(command.how), options_.station, retention_, command.reason},
         timeout},
        decoded(std::move(done), [this, sent_at = clock_.now()](const redis::Value& reply) {
            learn_time(reply[1], sent_at);
            return decode_revoke(reply);
        }));
}

void RedisLockStore::inspect(const core::LockName& name,
                             Milliseconds timeout,
                             core::StoreDone<std::optional<core::LockState>> done) {
    const std::string key = key_of(name);
    const auto plain = plain_key_of(name);
    std::vector<std::string_view> has_plain;
    if (plain) {
        has_plain.emplace_back("1");
    }
    runner_.run(
        {inspect_, affinity_of(name), keys_with({key}, plain), has_plain, timeout},
        decoded(std::move(done), [this, name, sent_at = clock_.now()](const redis::Value& reply) {
            learn_time(reply[0], sent_at);
            return decode_state(name, reply[1]);
        }));
}

// The keys of a script that can grant.
std::vector<std::string_view> RedisLockStore::with_canary(const std::string& key) const {
    return options_.canary.apart ? std::vector<std::string_view>{key}
                                 : std::vector<std::string_view>{key, canary_.key()};
}

void RedisLockStore::connected_to(const redis::ServerInfo& server) {
    if (canary_.connected_to(server)) {
        clock_steps_ = {};
    }
}

void RedisLockStore::look_if_lost(const redis::Value& reply) {
    if (says_lost(reply)) {
        canary_.lost();
    }
}

void RedisLockStore::learn_time(const redis::Value& time, core::Instant sent_at) {
    if (time.is_integer()) {
        learn_time(microseconds{time.integer()}, sent_at);
    }
}

void RedisLockStore::learn_time(microseconds time, core::Instant sent_at) {
    const core::Instant now = clock_.now();
    time_.learn(time, sent_at, now);
    const auto step = clock_steps_.learn(time, sent_at, now);
    if (!step) {
        return;
    }
    clock_set_.count(*step);
    const bool beyond_guard = *step > options_.clock_guard;
    if (beyond_guard) {
        canary_.clock_set_forward();
    }
    if (clock_set_listener_) {
        clock_set_listener_(*step, beyond_guard);
    }
}

// A grant that leases which have ended early may have made way for is none.
core::StoreResult<core::AcquireAnswer> RedisLockStore::believed(
    core::StoreResult<core::AcquireAnswer> answer, core::Instant sent_at) const {
    if (answer && std::holds_alternative<core::Granted>(*answer) && !canary_.trusts(sent_at)) {
        return tl::unexpected(
            core::StoreError{core::StoreFailure::unknown, "the clock of Redis was set forward"});
    }
    return answer;
}

// In Redis' time, 16 digits; zeros, which are always too late, while its clock is not known.
std::string RedisLockStore::not_after(Milliseconds timeout) const {
    return absl::StrFormat("%016d", time_.latest(clock_.now() + timeout));
}

}  // namespace holdfast::store
