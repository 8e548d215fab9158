#pragma once

// Takes a lock, or several, and keeps the lease: what `run` and `hold` need of that, and the renewals
// that all kinds of it have.
//
//   asking   -> held   Told::granted
//            -> over   Told::over, with why the lock is not to be had
//   held     other events in any number
//            -> over   Told::over, with LEASE_LOST: it is lost, or the last deadline has passed; without
//                      a failure: it was released
//
// Used as follows: call turn() until it is empty, wait until fd() is readable or turn_at() has come,
// and so on. believe_until() may move with every turn.

#include "cli/boot_clock.hpp"
#include "cli/client.hpp"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

// One thing that happened.
struct Told {
    enum class Kind {
        event,    // as it came on the stream, in `event`
        granted,  // the lock is ours; on a stream, also in `event`
        broke,  // the stream, by `failure`; it will be opened again, and the lease is renewed meanwhile
        resumed,  // it is open again
        over,     // nothing more comes; `event` says so, if it was told on the stream
    };
    Kind kind = Kind::event;
    v1::LeaseEvent event;
    std::optional<Failure> failure;
};

// Of Told::over: another may have the lock already, whatever believe_until() says. Not if the daemon
// has only stopped to renew it: then nobody gets it before that.
bool may_be_anothers(const Told& over);

class Keeper {
public:
    explicit Keeper(std::string server) : server_(std::move(server)) {}
    virtual ~Keeper() = default;
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    // What happened next; empty: nothing has. May block for a call to the daemon: while asking for as
    // long as asked for, later at most kLongestCall.
    virtual std::optional<Told> turn() = 0;
    virtual BootTime turn_at() const = 0;
    virtual int fd() const { return -1; }
    void wait() const;  // until there may be a turn to take

    // While held:
    virtual const std::string& lease_id() const = 0;
    virtual std::chrono::milliseconds ttl() const = 0;
    virtual BootTime believe_until() const = 0;
    virtual std::vector<std::uint64_t> tokens() const = 0;  // in the order of the names
    std::chrono::milliseconds safe_for() const;             // from now on; 0 at the least

    static constexpr std::chrono::milliseconds kLongestCall{1000};

protected:
    static constexpr std::chrono::milliseconds kRetry{100};

    const std::string& server() const { return server_; }
    // The next try is due then, if the lease ought to be renewed at `due`.
    BootTime renew_at(BootTime due) const { return std::max(due, not_before_); }
    // One Renew. Told: the lease is lost. Other failures leave its deadline, and it is tried again after
    // kRetry.
    std::optional<Told> renew();
    virtual void renewed(const Held& held) = 0;

    static Told over(std::optional<Failure> failure, v1::LeaseEvent event = {});
    static Failure lost(const std::string& why);

private:
    const std::string server_;
    BootTime not_before_{};
};

}  // namespace holdfast::cli
