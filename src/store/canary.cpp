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
constexpr std::int64_t kOtherMaxTtl = 3;

// In no lock's key, whatever the prefix.
constexpr char kMark = '\x01';

// What the scripts never find: a beat that no canary has.
std::string nothing_known() {
    return std::string(kBeatDigits, '9');
}

}  // namespace

Canary::Canary(ScriptRunner& runner, const std::string& prefix, Options options)
    : runner_(runner),
      options_(options),
      key_(std::string{"holdfast:"} + kMark + "canary:" + prefix),
      script_(kLua_canary),
      known_(nothing_known()) {}

std::string Canary::printable_key() const {
    std::string printable = key_;
    printable.replace(printable.find(kMark), 1, "\\x01");
    return printable;
}

void Canary::connected_to(const redis::ServerInfo& server) {
    if (server.incarnation == incarnation_) {
        return;
    }
    incarnation_ = server.incarnation;
    if (looked_) {
        known_.replace(kBeatDigits, std::string::npos, incarnation_);
    }
    lost();
}

void Canary::lost() {
    if (!std::exchange(looking_again_, true)) {
        look(kLookTimeout, [](const auto&) {});
    }
}

void Canary::look(core::Milliseconds timeout, core::StoreDone<Finding> done) {
    const std::string max_ttl = std::to_string(options_.max_ttl.value.count());
    const std::string longest = std::to_string(
        std::chrono::ceil<std::chrono::microseconds>(core::store_hold(options_.max_ttl)).count());
    runner_.run({script_,
                 0,
                 {key_},
                 {incarnation_,
                  looked_ ? std::string_view{known_} : std::string_view{},
                  max_ttl,
                  longest,
                  options_.assume_new ? "1" : "0",
                  options_.async ? "1" : "0"},
                 timeout},
                [this, done = std::move(done)](core::StoreResult<redis::Reply> reply) mutable {
                    looking_again_ = false;
                    done(reply ? learn(reply->value())
                               : core::StoreResult<Finding>{tl::unexpected(reply.error())});
                });
}

core::StoreResult<Canary::Finding> Canary::learn(const redis::Value& reply) {
    if (reply.size() != 5) {
        return tl::unexpected(unexpected_reply());
    }
    if (reply[1].integer() == kOtherMaxTtl) {
        looked_ = false;
        known_ = nothing_known();
        return Finding{{}, core::Milliseconds{reply[4].integer()}};
    }
    looked_ = true;
    known_ = absl::StrFormat("%016d%s", reply[2].integer(), incarnation_);
    const auto left = std::chrono::ceil<core::Milliseconds>(
        std::chrono::microseconds{reply[3].integer() - reply[0].integer()});
    return Finding{std::max(left, core::Milliseconds{0}), {}};
}

}  // namespace holdfast::store
