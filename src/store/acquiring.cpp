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

constexpr std::size_t kTimeDigits = 16;  // microseconds since 1970, until the year 2286
constexpr std::size_t kWireTail = kTimeDigits + 2;
constexpr std::size_t kMostWaiting = 9'999'999;  // a ticket has seven digits

}  // namespace

// An acquire that may have to be sent once more with the right time.
struct RedisLockStore::Acquiring {
    std::string wire;  // ends in the 16 digits of not_after and CR LF
    std::size_t affinity;
    Milliseconds timeout;
    core::StoreDone<core::AcquireAnswer> done;
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

void RedisLockStore::learn_token(const core::AcquireAnswer& answer) {
    if (const auto* granted = std::get_if<core::Granted>(&answer)) {
        floor_ = std::max(floor_, granted->token);
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

}  // namespace holdfast::store
