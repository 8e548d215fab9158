#include "store/script_runner.hpp"

#include "redis/error_class.hpp"

#include <utility>

namespace holdfast::store {
namespace {

using core::StoreError;
using core::StoreFailure;

constexpr const char* kAnswered = "Redis answered: ";

const char* describe(redis::Failure failure) {
    switch (failure) {
        case redis::Failure::refused_disconnected:
            return "no connection to Redis";
        case redis::Failure::refused_overloaded:
            return "too many commands to Redis are under way";
        case redis::Failure::refused_closing:
            return "the daemon is shutting down";
        case redis::Failure::unknown_timeout:
            return "Redis did not answer in time";
        case redis::Failure::unknown_disconnected:
            return "the connection to Redis broke";
    }
    return "";
}

StoreError error_of(redis::Failure failure) {
    return {redis::is_refused(failure) ? StoreFailure::not_executed : StoreFailure::unknown,
            describe(failure)};
}

StoreError error_of(std::string_view resp_error) {
    return {redis::definitely_not_executed(resp_error) ? StoreFailure::not_executed
                                                       : StoreFailure::unknown,
            kAnswered + std::string{resp_error}};
}

bool rejects_flags(std::string_view error) {
    // 6.2 compiles "#!lua" as Lua and stumbles over the first character.
    return error.find("Error compiling script") != std::string_view::npos;
}

}  // namespace

std::string_view answer_in(const core::StoreError& error) {
    const std::string_view message = error.message;
    return message.starts_with(kAnswered) ? message.substr(std::string_view{kAnswered}.size())
                                          : std::string_view{};
}

struct ScriptRunner::Attempt {
    const ScriptPair* script = nullptr;  // nullptr: a plain command
    std::size_t affinity = 0;
    std::string wire;  // with EVALSHA
    core::Milliseconds timeout{};
    Done done;
    bool gives_way = false;
    bool with_source = false;  // sent as EVAL already
    bool waited = false;       // sent again behind another's source
    bool flagged = true;       // in which form
};

std::string ScriptRunner::wire_of(const Call& call) const {
    const Script& script = flags_known_ ? call.script.flagged : call.script.plain;
    const std::string count = std::to_string(call.keys.size());
    std::vector<std::string_view> all{"EVALSHA", script.sha(), count};
    all.reserve(all.size() + call.keys.size() + call.arguments.size());
    all.insert(all.end(), call.keys.begin(), call.keys.end());
    all.insert(all.end(), call.arguments.begin(), call.arguments.end());
    return redis::format_command(all);
}

void ScriptRunner::run(const Call& call, Done done) {
    run_wire(
        call.script, call.affinity, wire_of(call), call.timeout, call.gives_way, std::move(done));
}

void ScriptRunner::run_wire(const ScriptPair& script,
                            std::size_t affinity,
                            std::string wire,
                            core::Milliseconds timeout,
                            bool gives_way,
                            Done done) {
    auto attempt = std::make_shared<Attempt>();
    attempt->gives_way = gives_way;
    attempt->script = &script;
    attempt->affinity = affinity;
    attempt->wire = wire;
    attempt->timeout = timeout;
    attempt->done = std::move(done);
    attempt->flagged = flags_known_;
    send(std::move(attempt), std::move(wire));
}

void ScriptRunner::command(const std::vector<std::string_view>& arguments,
                           core::Milliseconds timeout,
                           Done done) {
    auto attempt = std::make_shared<Attempt>();
    attempt->timeout = timeout;
    attempt->done = std::move(done);
    send(std::move(attempt), redis::format_command(arguments));
}

void ScriptRunner::send(std::shared_ptr<Attempt> attempt, std::string wire) {
    const std::size_t affinity = attempt->affinity;
    const core::Milliseconds timeout = attempt->timeout;
    const bool gives_way = attempt->gives_way;
    client_.send(affinity,
                 {std::move(wire),
                  timeout,
                  [this, attempt = std::move(attempt)](redis::Outcome outcome) {
                      on_outcome(attempt, std::move(outcome));
                  },
                  {},
                  gives_way});
}

void ScriptRunner::on_outcome(const std::shared_ptr<Attempt>& attempt, redis::Outcome outcome) {
    if (attempt->with_source) {
        loading_.erase(attempt->script);
    }
    if (const auto* failure = std::get_if<redis::Failure>(&outcome)) {
        attempt->done(tl::unexpected(error_of(*failure)));
        return;
    }
    auto& reply = std::get<redis::Reply>(outcome);
    if (!reply->is_error()) {
        attempt->done(std::move(reply));
        return;
    }
    const std::string_view error = reply->text();
    if (attempt->script != nullptr && !attempt->with_source && error.starts_with("NOSCRIPT")) {
        on_no_script(attempt);
        return;
    }
    if (attempt->script != nullptr && attempt->flagged && rejects_flags(error)) {
        flags_known_ = false;
        attempt->flagged = false;
        send_source(attempt);
        return;
    }
    attempt->done(tl::unexpected(error_of(error)));
}

void ScriptRunner::on_no_script(const std::shared_ptr<Attempt>& attempt) {
    if (loading_.contains(attempt->script) && !attempt->waited) {
        attempt->waited = true;
        send(attempt, attempt->wire);
    } else {
        send_source(attempt);
    }
}

void ScriptRunner::send_source(const std::shared_ptr<Attempt>& attempt) {
    attempt->with_source = true;
    loading_.insert(attempt->script);
    const Script& script = attempt->flagged ? attempt->script->flagged : attempt->script->plain;
    send(attempt, script.as_eval(attempt->wire));
}

}  // namespace holdfast::store
