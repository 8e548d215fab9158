// RedisLockStore::acquire, and how what somebody wants is said to the scripts.

#include "store/letters.hpp"
#include "store/redis_lock_store.hpp"
#include "store/replies.hpp"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::store {
namespace {

using core::Milliseconds;
using std::chrono::microseconds;

constexpr std::size_t kTimeDigits = 16;          // microseconds since 1970, until the year 2286
constexpr std::size_t kMostWaiting = 9'999'999;  // a ticket has seven digits

// Where the nth argument of a command begins in what is sent, the command's name being the 0th.
std::size_t argument_at(std::string_view wire, std::size_t nth) {
    std::size_t at = wire.find('\n') + 1;
    for (;;) {  // "$length\r\n", so many bytes, "\r\n"
        std::size_t length = 0;
        std::from_chars(wire.data() + at + 1, wire.data() + wire.size(), length);
        at = wire.find('\n', at) + 1;
        if (nth-- == 0) {
            return at;
        }
        at += length + 2;
    }
}

// What lua/_take.lua takes for granted unless it is told.
bool is_plain(const core::Want& want) {
    return want.access == core::Access{} && !want.upgrade && want.lock_delay == Milliseconds{0} &&
           !want.follows && !want.if_refused && !want.if_granted && !want.only_again;
}

}  // namespace

// An acquire that may have to be sent once more with the right time.
struct RedisLockStore::Acquiring {
    std::string wire;
    std::size_t not_after_at = 0;  // the 16 digits in it
    std::size_t affinity;
    Milliseconds timeout;
    core::StoreDone<core::AcquireAnswer> done;
    core::Instant sent_at{};
    bool corrected = false;
};

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
void RedisLockStore::append(std::vector<std::string>& arguments,
                            const core::Want& want,
                            bool has_plain_key) const {
    arguments.emplace_back(want.holder.view());
    arguments.emplace_back(want.call.view());
    arguments.push_back(in_us(core::store_hold(want.ttl)));
    arguments.emplace_back(want.owner);
    arguments.emplace_back(want.metadata);
    arguments.push_back(stamp(want.arrival, want.upgrade));
    arguments.push_back(want.watched ? options_.station : "");
    if (is_plain(want) && !has_plain_key) {
        return;
    }
    arguments.emplace_back(letter_of(want.access, want.upgrade));
    arguments.push_back(std::to_string(want.access.permits));
    arguments.push_back(std::to_string(want.access.limit));
    arguments.push_back(in_us(want.lock_delay));
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
    const auto plain = plain_key_of(command.name);
    std::vector<std::string> arguments{std::string(kTimeDigits, '0'),
                                       canary_.known(),
                                       options_.station,
                                       std::to_string(floor_.value),
                                       retention_};
    append(arguments, command.want, plain.has_value());
    auto acquiring = std::make_shared<Acquiring>();
    acquiring->affinity = affinity_of(command.name);
    acquiring->timeout = command.timeout;
    acquiring->done = std::move(done);
    const auto keys = keys_with(with_canary(key), plain);
    acquiring->wire = runner_.wire_of({acquire_,
                                       acquiring->affinity,
                                       keys,
                                       {arguments.begin(), arguments.end()},
                                       command.timeout});
    constexpr std::size_t kBeforeKeys = 3;  // EVALSHA, the script, how many keys
    acquiring->not_after_at = argument_at(acquiring->wire, kBeforeKeys + keys.size());
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
         sent_at = clock_.now(),
         done = std::move(done)](core::StoreResult<redis::Reply> reply) mutable {
            if (!reply) {
                // Whatever became of TIME, the acquire itself was not sent.
                done(tl::unexpected(core::StoreError{core::StoreFailure::not_executed,
                                                     std::move(reply.error().message)}));
                return;
            }
            learn_time_of(reply->value(), sent_at);
            want.owner = owner;
            want.metadata = metadata;
            acquire({name, want, timeout}, std::move(done));
        });
}

void RedisLockStore::send_acquire(std::shared_ptr<Acquiring> acquiring) {
    acquiring->sent_at = clock_.now();
    std::string& wire = acquiring->wire;
    wire.replace(acquiring->not_after_at, kTimeDigits, not_after(acquiring->timeout));
    const std::size_t affinity = acquiring->affinity;
    const Milliseconds timeout = acquiring->timeout;
    runner_.run_wire(
        acquire_,
        affinity,
        wire,
        timeout,
        true,
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
    learn_time(reply[1], acquiring->sent_at);
    if (!is_too_late(reply)) {
        auto answer = decode_acquire(reply);
        learn_token(answer);
        look_if_lost(reply);
        acquiring->done(believed(std::move(answer), acquiring->sent_at));
    } else if (acquiring->corrected) {
        acquiring->done(tl::unexpected(
            core::StoreError{core::StoreFailure::not_executed,
                             "Redis executed the command too late, or its clock jumps"}));
    } else {
        acquiring->corrected = true;
        send_acquire(acquiring);
    }
}

void RedisLockStore::learn_token(const core::StoreResult<core::AcquireAnswer>& answer) {
    if (answer && std::holds_alternative<core::Granted>(*answer)) {
        floor_ = std::max(floor_, std::get<core::Granted>(*answer).token);
    }
}

// Of TIME: seconds and microseconds, as strings. A wrong guess is corrected, as ever.
void RedisLockStore::learn_time_of(const redis::Value& reply, core::Instant sent_at) {
    std::int64_t seconds = 0;
    std::int64_t micros = 0;
    for (const auto& [text, value] :
         {std::pair{reply[0].text(), &seconds}, std::pair{reply[1].text(), &micros}}) {
        std::from_chars(text.data(), text.data() + text.size(), *value);
    }
    learn_time(std::chrono::seconds{seconds} + microseconds{micros}, sent_at);
}

}  // namespace holdfast::store
