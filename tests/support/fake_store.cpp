#include "support/fake_store.hpp"

#include "store/lua_scripts.hpp"
#include "store/script.hpp"
#include "support/record_head.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>

namespace holdfast::test {
namespace {

using namespace holdfast::core;

constexpr std::array<std::pair<const char*, std::string_view>, 10> kScripts{{
    {"acquire", store::kLua_acquire},
    {"release", store::kLua_release},
    {"cancel", store::kLua_cancel},
    {"renew", store::kLua_renew},
    {"inspect", store::kLua_inspect},
    {"convert", store::kLua_convert},
    {"leave", store::kLua_leave},
    {"adopt", store::kLua_adopt},
    {"canary", store::kLua_canary},
    {"revoke", store::kLua_revoke},
}};

std::string script_named_by(const std::string& sha) {
    static const auto names = [] {
        std::map<std::string, std::string> all;
        for (const auto& [name, source] : kScripts) {
            all[store::Script{source}.sha()] = name;
        }
        return all;
    }();
    const auto found = names.find(sha);
    return found == names.end() ? "" : found->second;
}

std::vector<std::string> arguments_of(const std::string& wire) {
    redis::ReplyReader reader;
    bool broken = !reader.feed(wire);
    const auto command = reader.next(broken);
    std::vector<std::string> arguments;
    for (std::size_t i = 0; command && i < command->value().size(); ++i) {
        arguments.emplace_back(command->value()[i].text());
    }
    return arguments;
}

std::string record_of(const std::string& name) {
    return "hf:" + name;
}

}  // namespace

std::function<std::int64_t()> time_of(const Clock& clock) {
    return [&clock] {
        return std::chrono::floor<std::chrono::microseconds>(clock.now().time_since_epoch())
            .count();
    };
}

void FatefulClient::send(std::size_t, redis::Command command) {
    const std::vector<std::string> arguments = arguments_of(command.wire);
    const std::string script = script_named_by(arguments.size() > 1 ? arguments[1] : "");
    ++calls[script];
    if (script == "renew") {
        renew_sizes.push_back(static_cast<std::size_t>(std::stoul(arguments[2])) - 1);
    }
    Fate fate = usual;
    if (!fates.empty()) {
        fate = fates.front();
        fates.pop_front();
    }
    pending_.push_back([this, fate, arguments, done = std::move(command.done)]() mutable {
        switch (fate) {
            case Fate::answer:
                done(execute(arguments));
                return;
            case Fate::refuse:
                done(redis::Failure::refused_disconnected);
                return;
            case Fate::lose_reply:
                execute(arguments);
                break;
            case Fate::late:
                late_.push_back([this, arguments] { execute(arguments); });
                break;
            case Fate::lose_request:
                break;
        }
        done(redis::Failure::unknown_timeout);
    });
}

redis::Reply FatefulClient::execute(const std::vector<std::string>& arguments) {
    const std::string key = arguments.size() > 3 ? arguments[3] : "";
    const RecordHead before{redis_.field(key, "l")};
    const std::string resp = redis_.execute(arguments);
    const RecordHead after{redis_.field(key, "l")};
    if (after.token != before.token && after.mode == 'x') {
        constexpr std::size_t kLength = 4;  // before the owner; without metadata it is the rest
        const std::string texts = redis_.field(key, "o");
        acquired_by.push_back(texts.empty() ? texts : texts.substr(kLength));
    }
    redis::ReplyReader reader;
    bool broken = !reader.feed(resp);
    return std::move(*reader.next(broken));
}

void FatefulClient::deliver() {
    while (!pending_.empty()) {
        auto next = std::move(pending_.front());
        pending_.pop_front();
        next();
    }
}

void FatefulClient::run_late() {
    for (const auto& execute : std::exchange(late_, {})) {
        execute();
    }
}

FakeStore::FakeStore(LuaRedis& redis,
                     const Clock& clock,
                     const std::string& station,
                     store::Coexistence coexistence)
    : FatefulClient(redis),
      RedisLockStore(static_cast<FatefulClient&>(*this),
                     clock,
                     {.station = station, .coexistence = std::move(coexistence)}),
      redis_(redis),
      clock_(clock) {
    for (const auto& [name, source] : kScripts) {
        redis.load(std::string{source});
    }
    canary().connected_to({"run"});
    deliver();
    // Learns the time, so that no acquire has to be sent twice.
    inspect(*LockName::parse("nothing"), Milliseconds{1}, [](const auto&) {});
    deliver();
    calls.clear();
}

bool FakeStore::held(const std::string& name) {
    return !redis_.field(record_of(name), "i").empty() && clock_.now() < expiry(name);
}

Instant FakeStore::expiry(const std::string& name) {
    return Instant{
        std::chrono::microseconds{RecordHead{redis_.field(record_of(name), "l")}.expiry_us}};
}

void FakeStore::take_by_other(const std::string& name, Duration for_how_long) {
    const std::string key = record_of(name);
    const RecordHead before{redis_.field(key, "l")};
    RecordHead head;
    head.token = std::max<std::uint64_t>(before.token, 999) + 1;
    head.expiry_us = std::chrono::floor<std::chrono::microseconds>(
                         (clock_.now() + for_how_long).time_since_epoch())
                         .count();
    redis_.set_field(key, "l", head.text());
    redis_.set_field(key, "i", "somebody else's!another daemon's");
    redis_.set_field(key, "o", "0005other");
}

void FakeStore::free(const std::string& name) {
    redis_.set_field(record_of(name), "i", "");
}

}  // namespace holdfast::test
