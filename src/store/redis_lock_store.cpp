#include "store/redis_lock_store.hpp"

#include "store/lua_scripts.hpp"
#include "store/replies.hpp"

#include <absl/hash/hash.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <utility>

namespace holdfast::store {
namespace {

using core::Duration;
using core::Milliseconds;
using std::chrono::microseconds;

constexpr std::size_t kTimeDigits = 16;  // microseconds since 1970, until the year 2286
constexpr std::size_t kWireTail = kTimeDigits + 2;

std::size_t affinity_of(const core::LockName& name) {
    return absl::HashOf(name);
}

std::string in_us(Duration duration) {
    return std::to_string(std::chrono::duration_cast<microseconds>(duration).count());
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

// An acquire that may have to be sent once more with the right time.
struct RedisLockStore::Acquiring {
    std::string wire;  // ends in the 16 digits of not_after and CR LF
    std::size_t affinity;
    Milliseconds timeout;
    core::StoreDone<core::AcquireAnswer> done;
    bool corrected = false;
};

RedisLockStore::RedisLockStore(redis::Client& client, const core::Clock& clock, Options options)
    : runner_(client),
      clock_(clock),
      options_(std::move(options)),
      acquire_(kLua_acquire),
      release_(kLua_release),
      cancel_(kLua_cancel),
      renew_(kLua_renew),
      inspect_(kLua_inspect) {}

void RedisLockStore::acquire(const core::AcquireCommand& command,
                             core::StoreDone<core::AcquireAnswer> done) {
    const std::string key = key_of(command.name);
    const std::string keep = in_us(core::store_hold(command.ttl));
    const std::string floor = std::to_string(floor_.value);
    const std::string retention = std::to_string(options_.retention.count());
    const std::string placeholder(kTimeDigits, '0');
    auto acquiring = std::make_shared<Acquiring>();
    acquiring->affinity = affinity_of(command.name);
    acquiring->timeout = command.timeout;
    acquiring->done = std::move(done);
    acquiring->wire = runner_.wire_of({acquire_,
                                       acquiring->affinity,
                                       {key},
                                       {command.holder.view(),
                                        command.call.view(),
                                        keep,
                                        floor,
                                        command.owner,
                                        command.metadata,
                                        retention,
                                        placeholder},
                                       command.timeout});
    send_acquire(std::move(acquiring));
}

void RedisLockStore::send_acquire(std::shared_ptr<Acquiring> acquiring) {
    std::string& wire = acquiring->wire;
    wire.replace(wire.size() - kWireTail, kTimeDigits, not_after(acquiring->timeout));
    const std::size_t affinity = acquiring->affinity;
    const Milliseconds timeout = acquiring->timeout;
    runner_.run_wire(
        acquire_,
        affinity,
        wire,
        timeout,
        [this, acquiring = std::move(acquiring)](core::StoreResult<redis::Reply> reply) {
            if (reply) {
                on_acquire_reply(acquiring, reply->value());
            } else {
                acquiring->done(tl::unexpected(reply.error()));
            }
        });
}

void RedisLockStore::on_acquire_reply(const std::shared_ptr<Acquiring>& acquiring,
                                      const redis::Value& reply) {
    learn_time(reply[1]);
    if (!is_too_late(reply)) {
        auto answer = decode_acquire(reply);
        if (answer) {
            if (const auto* granted = std::get_if<core::Granted>(&*answer)) {
                learn_token(granted->token);
            }
        }
        acquiring->done(std::move(answer));
    } else if (acquiring->corrected) {
        acquiring->done(tl::unexpected(
            core::StoreError{core::StoreFailure::not_executed,
                             "Redis executed the command too late, or its clock jumps"}));
    } else {
        acquiring->corrected = true;
        send_acquire(acquiring);
    }
}

void RedisLockStore::release(const core::Lease& lease,
                             Milliseconds timeout,
                             core::StoreDone<core::ReleaseAnswer> done) {
    const std::string key = key_of(lease.name);
    const std::string token = std::to_string(lease.token.value);
    runner_.run({release_, affinity_of(lease.name), {key}, {lease.holder.view(), token}, timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    return decode_release(reply);
                }));
}

void RedisLockStore::cancel(const core::LockName& name,
                            core::HolderId holder,
                            core::HolderId call,
                            Milliseconds timeout,
                            core::StoreDone<std::monostate> done) {
    const std::string key = key_of(name);
    runner_.run({cancel_, affinity_of(name), {key}, {holder.view(), call.view()}, timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    return decode_cancel(reply);
                }));
}

void RedisLockStore::renew(std::span<const core::RenewCommand> commands,
                           Milliseconds timeout,
                           core::StoreDone<std::vector<core::RenewAnswer>> done) {
    std::vector<std::string> texts;  // keys, then token and time of each
    texts.reserve(1 + commands.size() * 3);
    ScriptRunner::Call call{renew_, affinity_of(commands.front().lease.name), {}, {}, timeout};
    call.arguments.push_back(texts.emplace_back(std::to_string(options_.retention.count())));
    for (const auto& [lease, ttl] : commands) {
        call.keys.push_back(texts.emplace_back(key_of(lease.name)));
        call.arguments.push_back(lease.holder.view());
        call.arguments.push_back(texts.emplace_back(std::to_string(lease.token.value)));
        call.arguments.push_back(texts.emplace_back(in_us(core::store_hold(ttl))));
    }
    runner_.run(call, decoded(std::move(done), [this, count = commands.size()](const auto& reply) {
                    learn_time(reply[0]);
                    return decode_renew(reply, count);
                }));
}

void RedisLockStore::inspect(const core::LockName& name,
                             Milliseconds timeout,
                             core::StoreDone<std::optional<core::LockState>> done) {
    const std::string key = key_of(name);
    runner_.run({inspect_, affinity_of(name), {key}, {}, timeout},
                decoded(std::move(done), [this, name](const redis::Value& reply) {
                    learn_time(reply[0]);
                    return decode_state(name, reply[1]);
                }));
}

void RedisLockStore::learn_time(const redis::Value& time) {
    if (time.is_integer()) {
        offset_ = microseconds{time.integer()} - clock_.now().time_since_epoch();
    }
}

void RedisLockStore::learn_token(core::FencingToken token) {
    floor_ = std::max(floor_, token);
}

// In Redis' time, 16 digits; zeros, which are always too late, while its clock is not known.
std::string RedisLockStore::not_after(Milliseconds timeout) const {
    std::int64_t at = 0;
    if (offset_ != Duration::min()) {
        at = std::chrono::duration_cast<microseconds>(clock_.now().time_since_epoch() + offset_ +
                                                      timeout)
                 .count();
    }
    return absl::StrFormat("%016d", at);
}

}  // namespace holdfast::store
