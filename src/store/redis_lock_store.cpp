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
constexpr std::size_t kIdBytes = sizeof(core::HolderId::bytes);
constexpr std::size_t kMostWaiting = 9'999'999;  // a ticket has seven digits

std::size_t affinity_of(const core::LockName& name) {
    return absl::HashOf(name);
}

std::string in_us(Duration duration) {
    return std::to_string(std::chrono::duration_cast<microseconds>(duration).count());
}

std::string_view letter_of(const core::Access& access, bool upgrade) {
    switch (access.mode) {
        case core::Mode::exclusive:
            return "x";
        case core::Mode::shared:
            return upgrade ? "u" : "s";
        case core::Mode::permit:
            return "p";
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
      canary_(runner_, options.prefix, options.canary),
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
      adopt_(kLua_adopt) {}

// The time in Redis' when the waiter came, 16 digits.
std::string RedisLockStore::stamp(core::Instant arrival, bool upgrade) const {
    return absl::StrFormat("%016d", upgrade ? 0 : std::max<std::int64_t>(1, time_.steady(arrival)));
}

// As lua/_queue.lua describes, without the end.
std::string RedisLockStore::ticket(const std::optional<core::QueueHead>& head) const {
    if (!head) {
        return "";
    }
    return absl::StrFormat(
        "%s%s%s%08d%08d%07d%s",
        options_.station,
        stamp(head->arrival, head->upgrade),
        head->barrier ? stamp(*head->barrier, false) : std::string(kTimeDigits, '0'),
        head->access.permits,
        head->access.limit,
        std::min(head->waiting, kMostWaiting),
        std::string{letter_of(head->access, head->upgrade)});
}

// The arguments that lua/_take.lua describes.
void RedisLockStore::append(std::vector<std::string>& arguments, const core::Want& want) const {
    arguments.emplace_back(want.holder.view());
    arguments.emplace_back(want.call.view());
    arguments.push_back(in_us(core::store_hold(want.ttl)));
    arguments.emplace_back(want.owner);
    arguments.emplace_back(want.metadata);
    arguments.emplace_back(letter_of(want.access, want.upgrade));
    arguments.push_back(std::to_string(want.access.permits));
    arguments.push_back(std::to_string(want.access.limit));
    arguments.push_back(in_us(want.lock_delay));
    arguments.push_back(stamp(want.arrival, want.upgrade));
    arguments.push_back(want.watched ? options_.station : "");
    arguments.push_back(want.follows ? "-" : ticket(want.if_refused));
    arguments.push_back(ticket(want.if_granted));
    arguments.emplace_back(want.only_again ? "1" : "");
}

void RedisLockStore::acquire(const core::AcquireCommand& command,
                             core::StoreDone<core::AcquireAnswer> done) {
    if (!time_.known()) {
        acquire_after_time(command, std::move(done));
        return;
    }
    const std::string key = key_of(command.name);
    std::vector<std::string> arguments{options_.station, std::to_string(floor_.value), retention_};
    append(arguments, command.want);
    arguments.push_back(canary_.known());
    arguments.emplace_back(kTimeDigits, '0');
    auto acquiring = std::make_shared<Acquiring>();
    acquiring->affinity = affinity_of(command.name);
    acquiring->timeout = command.timeout;
    acquiring->done = std::move(done);
    acquiring->wire = runner_.wire_of({acquire_,
                                       acquiring->affinity,
                                       {key, canary_.key()},
                                       {arguments.begin(), arguments.end()},
                                       command.timeout});
    send_acquire(std::move(acquiring));
}

// Without Redis' time no arrival can be told: asks for it first.
void RedisLockStore::acquire_after_time(const core::AcquireCommand& command,
                                        core::StoreDone<core::AcquireAnswer> done) {
    runner_.command(
        {"TIME"},
        command.timeout,
        [this,
         name = command.name,
         want = command.want,
         owner = std::string{command.want.owner},
         metadata = std::string{command.want.metadata},
         timeout = command.timeout,
         done = std::move(done)](core::StoreResult<redis::Reply> reply) mutable {
            if (!reply) {
                // Whatever became of TIME, the acquire itself was not sent.
                done(tl::unexpected(core::StoreError{core::StoreFailure::not_executed,
                                                     std::move(reply.error().message)}));
                return;
            }
            learn_time_of(reply->value());
            want.owner = owner;
            want.metadata = metadata;
            acquire({name, want, timeout}, std::move(done));
        });
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
            learn_token(*answer);
        }
        look_if_lost(reply);
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
                             const std::optional<core::Want>& next,
                             Milliseconds timeout,
                             core::StoreDone<core::ReleaseAnswer> done) {
    const std::string key = key_of(lease.name);
    std::vector<std::string> arguments{std::string{lease.holder.view()},
                                       std::to_string(lease.token.value),
                                       options_.station,
                                       std::to_string(floor_.value),
                                       retention_,
                                       canary_.known()};
    if (next) {
        append(arguments, *next);
        arguments.push_back(not_after(timeout));
    }
    runner_.run({release_,
                 affinity_of(lease.name),
                 {key, canary_.key()},
                 {arguments.begin(), arguments.end()},
                 timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    look_if_lost(reply);
                    auto answer = decode_release(reply);
                    if (answer && answer->handed && *answer->handed) {
                        learn_token(**answer->handed);
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
    runner_.run({cancel_,
                 affinity_of(name),
                 {key},
                 {holder.view(), call.view(), options_.station, retention_},
                 timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    return decode_done(reply);
                }));
}

void RedisLockStore::leave(const core::LockName& name,
                           Milliseconds timeout,
                           core::StoreDone<std::monostate> done) {
    const std::string key = key_of(name);
    runner_.run({leave_, affinity_of(name), {key}, {options_.station, retention_}, timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    return decode_done(reply);
                }));
}

void RedisLockStore::downgrade(const core::Lease& lease,
                               core::Ttl ttl,
                               Milliseconds timeout,
                               core::StoreDone<core::RenewAnswer> done) {
    take_over(convert_, lease, ttl, timeout, std::move(done));
}

void RedisLockStore::adopt(const core::Lease& lease,
                           core::Ttl ttl,
                           Milliseconds timeout,
                           core::StoreDone<core::RenewAnswer> done) {
    take_over(adopt_, lease, ttl, timeout, std::move(done));
}

// The two that are about one lease and say who watches it.
void RedisLockStore::take_over(const ScriptPair& script,
                               const core::Lease& lease,
                               core::Ttl ttl,
                               Milliseconds timeout,
                               core::StoreDone<core::RenewAnswer> done) {
    const std::string key = key_of(lease.name);
    const std::string token = std::to_string(lease.token.value);
    const std::string keep = in_us(core::store_hold(ttl));
    runner_.run({script,
                 affinity_of(lease.name),
                 {key, canary_.key()},
                 {lease.holder.view(), token, keep, options_.station, retention_, canary_.known()},
                 timeout},
                decoded(std::move(done), [this](const redis::Value& reply) {
                    learn_time(reply[1]);
                    look_if_lost(reply);
                    return decode_convert(reply);
                }));
}

void RedisLockStore::renew(std::span<const core::RenewCommand> commands,
                           Milliseconds timeout,
                           core::StoreDone<std::vector<core::RenewAnswer>> done) {
    std::vector<std::string> texts;  // of each: key, token, time, units, limit
    texts.reserve(commands.size() * 5);
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
        call.arguments.emplace_back(held ? "1" : "");
    }
    call.keys.push_back(canary_.key());
    runner_.run(call, decoded(std::move(done), [this, count = commands.size()](const auto& reply) {
                    learn_time(reply[0]);
                    look_if_lost(reply);
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

void RedisLockStore::look_if_lost(const redis::Value& reply) {
    if (says_lost(reply)) {
        canary_.lost();
    }
}

void RedisLockStore::learn_time(const redis::Value& time) {
    if (time.is_integer()) {
        time_.learn(microseconds{time.integer()}, clock_.now());
    }
}

// Of TIME: seconds and microseconds, as strings. A wrong guess is corrected, as ever.
void RedisLockStore::learn_time_of(const redis::Value& reply) {
    std::int64_t seconds = 0;
    std::int64_t micros = 0;
    for (const auto& [text, value] :
         {std::pair{reply[0].text(), &seconds}, std::pair{reply[1].text(), &micros}}) {
        std::from_chars(text.data(), text.data() + text.size(), *value);
    }
    time_.learn(std::chrono::seconds{seconds} + microseconds{micros}, clock_.now());
}

void RedisLockStore::learn_token(const core::AcquireAnswer& answer) {
    if (const auto* granted = std::get_if<core::Granted>(&answer)) {
        floor_ = std::max(floor_, granted->token);
    }
}

// In Redis' time, 16 digits; zeros, which are always too late, while its clock is not known.
std::string RedisLockStore::not_after(Milliseconds timeout) const {
    return absl::StrFormat("%016d", time_.latest(clock_.now() + timeout));
}

std::string RedisLockStore::channel_of(std::string_view station) {
    return "holdfast:" + std::string{station};
}

std::optional<Notice> RedisLockStore::parse_notice(std::string_view payload) const {
    if (payload.empty()) {
        return std::nullopt;
    }
    Notice notice{Notice::Kind::freed, *core::LockName::parse("-"), {}};
    const char kind = payload.front();
    payload.remove_prefix(1);
    if ((kind == 'e' || kind == 'm') && payload.size() > kIdBytes) {
        notice.kind = kind == 'e' ? Notice::Kind::ended : Notice::Kind::moved;
        std::copy_n(payload.begin(), kIdBytes, notice.holder.bytes.begin());
        payload.remove_prefix(kIdBytes);
    } else if (kind != 'f') {
        return std::nullopt;
    }
    if (!payload.starts_with(options_.prefix)) {
        return std::nullopt;
    }
    auto name = core::LockName::parse(std::string{payload.substr(options_.prefix.size())});
    if (!name) {
        return std::nullopt;
    }
    notice.name = *std::move(name);
    return notice;
}

}  // namespace holdfast::store
