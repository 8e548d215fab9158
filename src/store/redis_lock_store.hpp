#pragma once

// LockStore on one writable Redis: the standalone adapter. One key per lock (some have another, for clients
// that do not know us: coexistence.hpp), every change one script (lua/, where the record and the rules are
// described), every script's reply carries Redis' TIME.
//
// Three things are learnt from the replies. Two go into later commands:
//   the offset of Redis' clock to ours (redis_time.hpp), so that an acquire can say in Redis' time
//     until when it may still be executed, and when its waiter came; a wrong guess (the first, or after a step) is refused, corrected and sent
//     once more, which is safe since a refused one did nothing
//   the floor: the highest token ever seen, so that tokens go up even if Redis forgets and its clock
//     goes back
// and the third is whether its clock was set (clock_steps.hpp). Forward by more than the guard, leases have
// ended early in Redis: nothing is granted then for as long as a lease may last (canary.hpp), and a grant by a
// command that left before Redis has confirmed that is an unknown outcome.

#include "core/lock_store.hpp"
#include "store/canary.hpp"
#include "store/clock_steps.hpp"
#include "store/coexistence.hpp"
#include "store/redis_time.hpp"
#include "store/script_runner.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::store {

class RedisLockStore : public core::LockStore {
public:
    struct Options {
        std::string prefix = "hf:";                             // of every key
        core::Milliseconds retention = std::chrono::hours{24};  // of the record of an idle lock
        Canary::Options canary;
        core::Duration clock_guard = kClockGuard;
        std::string station;  // 8 bytes, of this store's user alone: its tickets, and who to tell
        Coexistence coexistence;
    };

    RedisLockStore(redis::Client& client, const core::Clock& clock, Options options);

    void acquire(const core::AcquireCommand& command,
                 core::StoreDone<core::AcquireAnswer> done) override;
    void release(const core::Lease& lease,
                 const std::optional<core::Want>& next,
                 core::Milliseconds timeout,
                 core::StoreDone<core::ReleaseAnswer> done) override;
    void downgrade(const core::Lease& lease,
                   core::Ttl ttl,
                   core::Milliseconds timeout,
                   core::StoreDone<core::RenewAnswer> done) override;
    void adopt(const core::Lease& lease,
               core::Ttl ttl,
               std::string_view from,
               core::Milliseconds timeout,
               core::StoreDone<core::RenewAnswer> done) override;
    void leave(const core::LockName& name,
               core::Milliseconds timeout,
               core::StoreDone<std::monostate> done) override;
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override;
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;
    void revoke(const core::RevokeCommand& command,
                core::Milliseconds timeout,
                core::StoreDone<std::vector<core::HolderState>> done) override;
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override;
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override;

    // Names of what may be locks, as list(), which looks at them, too; and where to go on.
    using Scanned = std::pair<std::vector<std::string>, std::string>;
    void scan(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<Scanned> done);

    core::FencingToken floor() const { return floor_; }
    // A token that was seen at another primary of the same store.
    void raise_floor(core::FencingToken seen) { floor_ = std::max(floor_, seen); }
    bool knows_time() const { return time_.known(); }
    // In microseconds of Redis' clock, as far as it is known: for the order among daemons.
    std::int64_t store_time(core::Instant at) const { return time_.steady(at); }
    // While it lives, what is sent grants nothing before this moment either: a slot's locks that are still at
    // another primary, which grants nothing before. Apart only, and when it knows the time.
    class NotBefore {
    public:
        NotBefore(RedisLockStore& store, core::Instant opens_at) : canary_(store.canary_) {
            canary_.raise(store.time_.at_most(opens_at));
        }
        ~NotBefore() { canary_.end_raise(); }
        NotBefore(const NotBefore&) = delete;
        NotBefore& operator=(const NotBefore&) = delete;

    private:
        Canary& canary_;
    };
    Canary& canary() { return canary_; }
    const Canary& canary() const { return canary_; }
    // A connection leads to this server, which may be another than before, with another clock.
    void connected_to(const redis::ServerInfo& server);

    const ClockSet& clock_set() const { return clock_set_; }
    void on_clock_set(ClockSetListener listener) { clock_set_listener_ = std::move(listener); }

private:
    struct Acquiring;
    void take_over(const ScriptPair& script,
                   const core::Lease& lease,
                   core::Ttl ttl,
                   std::string_view from,
                   core::Milliseconds timeout,
                   core::StoreDone<core::RenewAnswer> done);
    void append(std::vector<std::string>& arguments,
                const core::Want& want,
                bool has_plain_key) const;
    std::string ticket(const std::optional<core::QueueHead>& head) const;
    std::string stamp(core::Instant arrival, bool upgrade) const;
    void acquire_after_time(const core::AcquireCommand& command,
                            core::StoreDone<core::AcquireAnswer> done);
    void send_acquire(std::shared_ptr<Acquiring> acquiring);
    void on_acquire_reply(const std::shared_ptr<Acquiring>& acquiring, const redis::Value& reply);
    void inspect_names(const std::vector<std::string>& names,
                       core::Milliseconds timeout,
                       core::StoreDone<std::vector<core::LockState>> done);

    std::string key_of(const core::LockName& name) const { return options_.prefix + name.text(); }
    std::optional<std::string> plain_key_of(const core::LockName& name) const {
        return options_.coexistence.plain_key(name);
    }
    std::vector<std::string_view> with_canary(const std::string& key) const;
    void look_if_lost(const redis::Value& reply);
    void learn_time(const redis::Value& time, core::Instant sent_at);
    void learn_time(std::chrono::microseconds time, core::Instant sent_at);
    void learn_time_of(const redis::Value& reply, core::Instant sent_at);
    core::StoreResult<core::AcquireAnswer> believed(core::StoreResult<core::AcquireAnswer> answer,
                                                    core::Instant sent_at) const;
    void learn_token(const core::StoreResult<core::AcquireAnswer>& answer);
    std::string not_after(core::Milliseconds timeout) const;

    ScriptRunner runner_;
    Canary canary_;
    const core::Clock& clock_;
    Options options_;
    std::string retention_;  // in ms
    core::FencingToken floor_;
    RedisTime time_;
    ClockSteps clock_steps_;
    ClockSet clock_set_;
    ClockSetListener clock_set_listener_;

    ScriptPair acquire_;
    ScriptPair release_;
    ScriptPair cancel_;
    ScriptPair renew_;
    ScriptPair inspect_;
    ScriptPair convert_;
    ScriptPair leave_;
    ScriptPair adopt_;
    ScriptPair revoke_;
};

}  // namespace holdfast::store
