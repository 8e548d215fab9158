#pragma once

// Who watches locks at this shard, and what they are told: a snapshot of what is held, then each lock as
// it stands after a change.
//
// The store says that a lock has changed, not how: it is read then. Changes that come faster than they
// are read are told as one, the last. A lease that ends by itself changes nothing in the store: while a
// watched lock is held, there is a timer for it.
//
// States of a watcher:
//   waiting    the store does not tell us yet of what it wants  -> reading, when it does
//   reading    the snapshot: a page after the other; changes of what was told already wait
//              -> following, at its end
//              -> pausing, its listener has no room: goes on with the page when it has
//   following  changes are told
//              -> lagging, its listener has no room: changes are lost
//   lagging    -> reading, when it has room; it is told that it has missed something
//   any        the store may have told us of changes while we did not listen (reset): missed, reading
//              a read of the store has failed: tried again after a second, in the same state
//
// On the shard's thread. A listener must not call back from within.

#include "core/lock_store.hpp"
#include "core/timers.hpp"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::core {

class WatchListener {
public:
    virtual ~WatchListener() = default;
    // False while it has no room for more: then resume() is called when it has.
    virtual bool has_room() = 0;
    virtual void snapshot(const LockState& lock) = 0;
    virtual void snapshot_end() = 0;
    virtual void changed(const LockState& lock) = 0;
    virtual void missed() = 0;
};

// What is watched: one lock, or all whose names begin with a text.
struct WatchScope {
    std::optional<LockName> name;
    std::string prefix;  // without a name

    bool covers(const LockName& other) const {
        return name ? *name == other : other.text().starts_with(prefix);
    }
};

// Where the store tells of changes. Calls nest: what was begun n times is ended n times.
class ChangeFeed {
public:
    virtual ~ChangeFeed() = default;
    // True if it is told already; else Watchers::listening() is called when it is.
    virtual bool begin(const WatchScope& scope) = 0;
    virtual void end(const WatchScope& scope) = 0;
};

class Watchers {
public:
    using Id = std::uint64_t;

    Watchers(const Clock& clock,
             TimerQueue& timers,
             LockStore& store,
             ChangeFeed& feed,
             Milliseconds command_timeout);
    ~Watchers();

    Id add(WatchScope scope, std::shared_ptr<WatchListener> listener);
    void remove(Id id);
    // Its listener has room again.
    void resume(Id id);

    // The feed tells of everything that was begun. `again`: it did not for a while.
    void listening(bool again);
    // The store says that this lock is not as it was.
    void changed(const LockName& name);

    std::size_t size() const { return watchers_.size(); }

private:
    enum class State { waiting, reading, pausing, following, lagging };
    struct Watcher;
    struct Seen;
    using Watching = std::map<Id, std::unique_ptr<Watcher>>;

    void read(Id id);
    void read_page(Watcher& watcher);
    void read_name(Watcher& watcher);
    void on_page(Id id, std::uint64_t reading, StoreResult<LockPage> page);
    void tell_page(Watcher& watcher);
    void finish_snapshot(Watcher& watcher);
    void again_later(Watcher& watcher);
    void look_at_next();
    void on_look(const LockName& name, const StoreResult<std::optional<LockState>>& found);
    void tell(const LockState& lock);
    void note(const LockState& lock);
    bool is_watched(const LockName& name) const;
    Seen& seen(const LockName& name);

    const Clock& clock_;
    TimerQueue& timers_;
    LockStore& store_;
    ChangeFeed& feed_;
    Milliseconds command_timeout_;
    Id next_id_ = 1;
    Watching watchers_;
    absl::flat_hash_map<std::string, std::size_t> names_;  // how many watch just this one
    std::size_t prefixes_ = 0;                             // how many watch more
    std::deque<LockName> to_look_at_;
    absl::flat_hash_set<std::string> queued_;  // names in to_look_at_
    std::size_t looking_ = 0;
    absl::flat_hash_map<std::string, std::unique_ptr<Seen>> seen_;  // what is held, by name
    // Callbacks of the store hold it weakly: they may come after the end.
    std::shared_ptr<Watchers*> self_ = std::make_shared<Watchers*>(this);
};

}  // namespace holdfast::core
