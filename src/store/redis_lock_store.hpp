#pragma once

// LockStore on one writable Redis: the standalone adapter. One key per lock, every change one
// script (lua/, where the record and the rules are described), every script's reply carries Redis'
// TIME.
//
// Two things are learnt from the replies and go into later commands:
//   the offset of Redis' clock to ours (redis_time.hpp), so that an acquire can say in Redis' time
//     until when it may still be executed, and when its waiter came; a wrong guess (the first, or after a step) is refused, corrected and sent
//     once more, which is safe since a refused one did nothing
//   the floor: the highest token ever seen, so that tokens go up even if Redis forgets and its clock
//     goes back

#include "core/lock_store.hpp"
#include "store/canary.hpp"
#include "store/redis_time.hpp"
#include "store/script_runner.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

// What another daemon's command did that concerns this station.
struct Notice {
    enum class Kind {
        freed,    // it may be this station's turn
        ended,    // a lease that is watched here was released
        moved,    // a lease that was watched here is watched by another
        revoked,  // a lease that is watched here was revoked
        changed,  // a lock that this station listens for
    };
    Kind kind;
    core::LockName name;
    core::HolderId holder;  // of the lease
    core::Revocation how = core::Revocation::yield;
    core::Milliseconds closes_in{0};
    std::string reason;
};

class RedisLockStore : public core::LockStore {
public:
    struct Options {
        std::string prefix = "hf:";                             // of every key
        core::Milliseconds retention = std::chrono::hours{24};  // of the record of an idle lock
        Canary::Options canary;
        std::string station;  // 8 bytes, of this store's user alone: its tickets, and who to tell
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

    core::FencingToken floor() const { return floor_; }
    // In microseconds of Redis' clock, as far as it is known: for the order among daemons.
    std::int64_t store_time(core::Instant at) const { return time_.steady(at); }
    Canary& canary() { return canary_; }

    // Where scripts PUBLISH what this station should know.
    static std::string channel_of(std::string_view station);
    // Where scripts PUBLISH that this lock has changed: one of kWatchChannels.
    static constexpr std::size_t kWatchChannels = 64;
    std::size_t watch_index(const core::LockName& name) const;
    static std::string watch_channel(std::size_t index);
    // What came on such a channel, as what it says; empty if it is not understood.
    std::optional<Notice> parse_notice(std::string_view payload) const;

private:
    struct Acquiring;
    void take_over(const ScriptPair& script,
                   const core::Lease& lease,
                   core::Ttl ttl,
                   std::string_view from,
                   core::Milliseconds timeout,
                   core::StoreDone<core::RenewAnswer> done);
    void append(std::vector<std::string>& arguments, const core::Want& want) const;
    std::string ticket(const std::optional<core::QueueHead>& head) const;
    std::string stamp(core::Instant arrival, bool upgrade) const;
    void acquire_after_time(const core::AcquireCommand& command,
                            core::StoreDone<core::AcquireAnswer> done);
    void send_acquire(std::shared_ptr<Acquiring> acquiring);
    void on_acquire_reply(const std::shared_ptr<Acquiring>& acquiring, const redis::Value& reply);
    void inspect_keys(const std::vector<std::string>& keys,
                      core::Milliseconds timeout,
                      core::StoreDone<std::vector<core::LockState>> done);

    std::string key_of(const core::LockName& name) const { return options_.prefix + name.text(); }
    void look_if_lost(const redis::Value& reply);
    void learn_time(const redis::Value& time);
    void learn_time_of(const redis::Value& reply);
    void learn_token(const core::AcquireAnswer& answer);
    std::string not_after(core::Milliseconds timeout) const;

    ScriptRunner runner_;
    Canary canary_;
    const core::Clock& clock_;
    Options options_;
    std::string retention_;  // in ms
    core::FencingToken floor_;
    RedisTime time_;

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
