#pragma once

// LockStore on one writable Redis: the standalone adapter. One key per lock, every change one
// script (lua/, where the record and the rules are described), every script's reply carries Redis'
// TIME.
//
// Two things are learnt from the replies and go into later commands:
//   the offset of Redis' clock to ours, so that an acquire can say in Redis' time until when it may
//     still be executed; a wrong guess (the first, or after a step) is refused, corrected and sent
//     once more, which is safe since a refused one did nothing
//   the floor: the highest token ever seen, so that tokens go up even if Redis forgets and its clock
//     goes back

#include "core/lock_store.hpp"
#include "store/script_runner.hpp"

#include <string>

namespace holdfast::store {

class RedisLockStore final : public core::LockStore {
public:
    struct Options {
        std::string prefix = "hf:";                             // of every key
        core::Milliseconds retention = std::chrono::hours{24};  // of the record of an idle lock
    };

    RedisLockStore(redis::Client& client, const core::Clock& clock, Options options);

    void acquire(const core::AcquireCommand& command,
                 core::StoreDone<core::AcquireAnswer> done) override;
    void release(const core::Lease& lease,
                 core::Milliseconds timeout,
                 core::StoreDone<core::ReleaseAnswer> done) override;
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override;
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override;
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override;

    core::FencingToken floor() const { return floor_; }

private:
    struct Acquiring;
    void send_acquire(std::shared_ptr<Acquiring> acquiring);
    void on_acquire_reply(const std::shared_ptr<Acquiring>& acquiring, const redis::Value& reply);
    void inspect_keys(const std::vector<std::string>& keys,
                      core::Milliseconds timeout,
                      core::StoreDone<std::vector<core::LockState>> done);

    std::string key_of(const core::LockName& name) const { return options_.prefix + name.text(); }
    void learn_time(const redis::Value& reply);
    void learn_token(core::FencingToken token);
    std::string not_after(core::Milliseconds timeout) const;

    ScriptRunner runner_;
    const core::Clock& clock_;
    Options options_;
    core::FencingToken floor_;
    core::Duration offset_ = core::Duration::min();  // Redis' TIME minus our clock; min: not known

    ScriptPair acquire_;
    ScriptPair release_;
    ScriptPair cancel_;
    ScriptPair renew_;
    ScriptPair inspect_;
};

}  // namespace holdfast::store
