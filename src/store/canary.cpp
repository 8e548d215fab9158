#include "store/canary.hpp"

#include "store/lua_scripts.hpp"
#include "store/replies.hpp"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast::store {
namespace {

constexpr std::size_t kBeatDigits = 16;
constexpr core::Milliseconds kLookTimeout{1000};
constexpr std::int64_t kLost = 2;
constexpr std::int64_t kOtherMaxTtl = 3;
constexpr std::int64_t kSealed = 9'000'000'000'000'000;  // lua/_memory.lua
constexpr std::size_t kLengthDigits = 3;

// In no lock's key, whatever the prefix.
constexpr char kMark = '\x01';

// Apart: to the scripts, without the time that grants are open from.
constexpr const char* kNotSaid = "=";

// What the scripts never find: a beat that no canary has.
std::string nothing_known() {
    return std::string(kBeatDigits, '9');
}

std::string labelled(std::string_view incarnation) {
    return absl::StrFormat("%03d%s", incarnation.size(), incarnation);
}

}  // namespace

Canary::Canary(ScriptRunner& runner,
               const core::Clock& clock,
               const std::string& prefix,
               Options options,
               HearTime hear_time)
    : runner_(runner),
      clock_(clock),
      options_(std::move(options)),
      hear_time_(std::move(hear_time)),
      prefix_(prefix),
      key_(options_.apart ? "" : std::string{"holdfast:"} + kMark + "canary:" + prefix),
      script_(kLua_canary),
      known_(nothing_known()) {}

std::string Canary::printable_key() const {
    std::string printable = key_;
    if (const auto mark = printable.find(kMark); mark != std::string::npos) {
        printable.replace(mark, 1, "\\x01");
    }
    return printable;
}

// The tag before all that may have braces of its own.
void Canary::settle(std::string_view tag, std::string_view node) {
    std::string key = absl::StrFormat("holdfast:%ccanary:{%s}:%s:%s", kMark, tag, node, prefix_);
    moved_ = moved_ || (!key_.empty() && key != key_);
    key_ = std::move(key);
    tag_ = tag;
}

bool Canary::connected_to(const redis::ServerInfo& server) {
    const std::string incarnation = labelled(server.incarnation);
    if (incarnation == incarnation_) {
        return false;
    }
    incarnation_now(incarnation);
    ++servers_;
    said_ = kNotSaid;
    if (looked_) {
        known_.replace(kBeatDigits, std::string::npos, incarnation_);
    }
    lost();
    return true;
}

void Canary::raise(std::int64_t open_at) {
    raised_ = std::max(said_, absl::StrFormat("%s%016d", kNotSaid, open_at));
}

void Canary::lost() {
    if (!std::exchange(looking_again_, true)) {
        look(kLookTimeout, [](const auto&) {});
    }
}

void Canary::clock_set_forward() {
    inherit_doubt();
}

void Canary::inherit_doubt() {
    ++steps_;
    said_ = kNotSaid;
    trusted_from_ = core::kNever;
    look(kLookTimeout, [](const auto&) {});  // if it is lost, the next one tells
}

void Canary::look(core::Milliseconds timeout, core::StoreDone<Finding> done) {
    if (key_.empty()) {
        looking_again_ = false;
        done(tl::unexpected(
            core::StoreError{core::StoreFailure::not_executed, "it has no slot for its canary"}));
        return;
    }
    const std::string max_ttl = std::to_string(options_.max_ttl.value.count());
    const std::string longest = std::to_string(
        std::chrono::ceil<std::chrono::microseconds>(core::store_hold(options_.max_ttl)).count());
    const bool goes_on = moved_ && verified();  // what is known holds for the new key, too
    const bool first = !looked_ || goes_on;
    const bool is_new = options_.assume_new || goes_on || blank_ == incarnation_;
    const std::string not_before = options_.apart ? (goes_on ? said_.substr(1) : "0") : "";
    const bool followed = !followed_.empty() && std::exchange(followed_, {}) == incarnation_;
    const Look what{key_, servers_, clock_.now(), trusted_from_ == core::kNever, steps_};
    runner_.run({script_,
                 0,
                 {key_},
                 {incarnation_,
                  first ? std::string_view{} : std::string_view{known_},
                  max_ttl,
                  longest,
                  is_new ? "1" : "0",
                  options_.await_majority ? "2" : (options_.async ? "1" : "0"),
                  what.after_step ? "1" : "0",
                  followed ? "1" : "0",
                  not_before},
                 timeout},
                [this, what, done = std::move(done)](auto reply) mutable {
                    looking_again_ = false;
                    done(reply ? learn(what, reply->value())
                               : core::StoreResult<Finding>{tl::unexpected(reply.error())});
                    doubt_if_stale();
                });
}

void Canary::doubt_if_stale() {
    if (clock_.now() - looked_at_ > kStale) {
        said_ = kNotSaid;
    }
}

core::StoreResult<Canary::Finding> Canary::learn(const Look& what, const redis::Value& reply) {
    hear_time_(reply[0], what.sent_at);
    if (reply.size() != 6) {
        return tl::unexpected(unexpected_reply());
    }
    if (what.key != key_ || what.server != servers_) {
        return tl::unexpected(core::StoreError{core::StoreFailure::not_executed,
                                               "it is another Redis, or its canary has moved"});
    }
    if (what.after_step && what.step == steps_) {
        trusted_from_ = clock_.now();
    }
    if (reply[1].integer() == kOtherMaxTtl) {
        looked_ = false;
        known_ = nothing_known();
        said_ = kNotSaid;
        return Finding{{}, false, core::Milliseconds{reply[4].integer()}};
    }
    incarnation_now(labelled(reply[5].text()));
    std::string memory = absl::StrFormat("%016d%s", reply[3].integer(), incarnation_);
    const bool lost = looked_ && (reply[1].integer() == kLost || memory != memory_);
    memory_ = std::move(memory);
    looked_ = true;
    moved_ = false;
    looked_at_ = what.sent_at;
    if (what.step == steps_) {
        said_ = absl::StrFormat("%s%016d", kNotSaid, reply[3].integer());
    }
    known_ = absl::StrFormat("%016d%s", reply[2].integer(), incarnation_);
    const auto left = std::chrono::ceil<core::Milliseconds>(
        std::chrono::microseconds{reply[3].integer() - reply[0].integer()});
    opens_at_ = clock_.now() + std::max(left, core::Milliseconds{0});
    if (lost) {
        options_.on_loss();
    }
    const bool sealed = reply[3].integer() == kSealed;
    if (sealed) {
        unseal();
    }
    return Finding{
        sealed ? options_.max_ttl.value : std::max(left, core::Milliseconds{0}), sealed, {}};
}

// What was told when the connection was made may have changed under it.
void Canary::incarnation_now(std::string incarnation) {
    if (redis::has_forgotten(this->incarnation(), incarnation.substr(kLengthDigits)) &&
        memory_.ends_with(incarnation_)) {
        memory_.replace(memory_.size() - incarnation_.size(), std::string::npos, incarnation);
    }
    incarnation_ = std::move(incarnation);
}

// If this comes to nothing, the next look tries again.
void Canary::unseal() {
    if (!options_.await_majority || std::exchange(unsealing_, true)) {
        return;
    }
    options_.await_majority(incarnation(), [this, asked = incarnation_](bool follows) {
        unsealing_ = false;
        if (follows && asked == incarnation_) {
            followed_ = asked;
            look(kLookTimeout, [](const auto&) {});
        }
    });
}

std::string Canary::incarnation() const {
    return incarnation_.substr(kLengthDigits);
}

}  // namespace holdfast::store
