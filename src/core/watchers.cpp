#include "core/watchers.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

constexpr std::size_t kPage = 200;
// Locks that are read at a time: renewals and acquires come first.
constexpr std::size_t kMaxLooking = 16;
constexpr Duration kRetry = std::chrono::seconds{1};
// After a holder's expiry, so that the store's clock has surely passed it.
constexpr Duration kExpiryMargin = Milliseconds{5};

// What makes a difference to who watches: who holds it, not for how long.
std::vector<std::uint64_t> tokens_of(const LockState& lock) {
    std::vector<std::uint64_t> tokens{static_cast<std::uint64_t>(lock.mode)};
    for (const HolderState& holder : lock.holders) {
        tokens.push_back(holder.summary.token.value);
    }
    std::sort(tokens.begin() + 1, tokens.end());
    return tokens;
}

Milliseconds first_expiry(const LockState& lock) {
    Milliseconds first = Milliseconds::max();
    for (const HolderState& holder : lock.holders) {
        first = std::min(first, holder.summary.expires_in);
    }
    return first;
}

}  // namespace

struct Watchers::Watcher {
    Watcher(Id own_id, WatchScope wanted, std::shared_ptr<WatchListener> tells, TimerQueue& timers)
        : id(own_id), scope(std::move(wanted)), listener(std::move(tells)), retry(timers) {}

    Id id;
    WatchScope scope;
    std::shared_ptr<WatchListener> listener;
    State state = State::waiting;
    std::uint64_t reading = 0;   // which snapshot: answers to an older one are dropped
    std::deque<LockState> page;  // of it, not told yet
    std::string next_page;       // empty: there is none
    bool last_page = false;
    absl::flat_hash_set<std::string> changed_meanwhile;
    Timer retry;
};

// A lock that is held, as it was told last.
struct Watchers::Seen {
    explicit Seen(TimerQueue& timers) : expiry(timers) {}
    std::vector<std::uint64_t> tokens;
    Timer expiry;
};

Watchers::Watchers(const Clock& clock,
                   TimerQueue& timers,
                   LockStore& store,
                   ChangeFeed& feed,
                   Milliseconds command_timeout)
    : clock_(clock),
      timers_(timers),
      store_(store),
      feed_(feed),
      command_timeout_(command_timeout) {}

Watchers::~Watchers() = default;

Watchers::Id Watchers::add(WatchScope scope, std::shared_ptr<WatchListener> listener) {
    const Id id = next_id_++;
    auto watcher = std::make_unique<Watcher>(id, std::move(scope), std::move(listener), timers_);
    const bool told = feed_.begin(watcher->scope);
    if (watcher->scope.name) {
        ++names_[watcher->scope.name->text()];
    } else {
        ++prefixes_;
    }
    watchers_.emplace(id, std::move(watcher));
    if (told) {
        read(id);
    }
    return id;
}

void Watchers::remove(Id id) {
    const auto found = watchers_.find(id);
    if (found == watchers_.end()) {
        return;
    }
    const WatchScope scope = found->second->scope;
    feed_.end(scope);
    watchers_.erase(found);
    if (!scope.name) {
        --prefixes_;
    } else if (--names_[scope.name->text()] == 0) {
        names_.erase(scope.name->text());
    }
    absl::erase_if(
        seen_, [this](const auto& entry) { return !is_watched(*LockName::parse(entry.first)); });
}

void Watchers::listening(bool again) {
    for (const auto& [id, watcher] : watchers_) {
        if (watcher->state == State::waiting) {
            read(id);
        } else if (again) {
            watcher->listener->missed();
            read(id);
        }
    }
}

void Watchers::read(Id id) {
    Watcher& watcher = *watchers_.at(id);
    watcher.state = State::reading;
    ++watcher.reading;
    watcher.retry.cancel();
    watcher.page.clear();
    watcher.next_page.clear();
    watcher.last_page = false;
    watcher.changed_meanwhile.clear();
    read_page(watcher);
}

void Watchers::read_page(Watcher& watcher) {
    auto done = [weak = std::weak_ptr{self_}, id = watcher.id, reading = watcher.reading](
                    StoreResult<LockPage> page) {
        if (const auto self = weak.lock()) {
            (*self)->on_page(id, reading, std::move(page));
        }
    };
    if (!watcher.scope.name) {
        store_.list(
            watcher.scope.prefix, watcher.next_page, kPage, command_timeout_, std::move(done));
        return;
    }
    store_.inspect(*watcher.scope.name,
                   command_timeout_,
                   [done = std::move(done)](StoreResult<std::optional<LockState>> found) mutable {
                       if (!found && found.error().failure != StoreFailure::mode_conflict) {
                           done(tl::unexpected(found.error()));
                           return;
                       }
                       LockPage page;
                       if (found && *found && !(*found)->holders.empty()) {
                           page.locks.push_back(**std::move(found));
                       }
                       done(std::move(page));
                   });
}

void Watchers::on_page(Id id, std::uint64_t reading, StoreResult<LockPage> page) {
    const auto found = watchers_.find(id);
    if (found == watchers_.end() || found->second->reading != reading) {
        return;
    }
    Watcher& watcher = *found->second;
    if (!page) {
        again_later(watcher);
        return;
    }
    watcher.next_page = std::move(page->next);
    watcher.last_page = watcher.next_page.empty();
    std::move(page->locks.begin(), page->locks.end(), std::back_inserter(watcher.page));
    tell_page(watcher);
}

void Watchers::again_later(Watcher& watcher) {
    watcher.retry.set(clock_.now() + kRetry, [this, &watcher] { read_page(watcher); });
}

void Watchers::tell_page(Watcher& watcher) {
    while (!watcher.page.empty()) {
        if (!watcher.listener->has_room()) {
            watcher.state = State::pausing;
            return;
        }
        note(watcher.page.front());
        watcher.listener->snapshot(watcher.page.front());
        watcher.page.pop_front();
    }
    watcher.state = State::reading;
    if (watcher.last_page) {
        finish_snapshot(watcher);
    } else {
        read_page(watcher);
    }
}

void Watchers::finish_snapshot(Watcher& watcher) {
    watcher.state = State::following;
    watcher.listener->snapshot_end();
    for (const std::string& name : std::exchange(watcher.changed_meanwhile, {})) {
        const LockName lock = *LockName::parse(name);
        seen(lock).tokens.clear();  // it is told, whatever others were told meanwhile
        changed(lock);
    }
}

void Watchers::resume(Id id) {
    const auto found = watchers_.find(id);
    if (found == watchers_.end()) {
        return;
    }
    Watcher& watcher = *found->second;
    if (watcher.state == State::pausing) {
        tell_page(watcher);
    } else if (watcher.state == State::lagging) {
        watcher.listener->missed();
        read(id);
    }
}

bool Watchers::is_watched(const LockName& name) const {
    return names_.contains(name.text()) ||
           (prefixes_ > 0 &&
            std::any_of(watchers_.begin(), watchers_.end(), [&](const auto& entry) {
                return entry.second->scope.covers(name);
            }));
}

Watchers::Seen& Watchers::seen(const LockName& name) {
    auto& entry = seen_[name.text()];
    if (!entry) {
        entry = std::make_unique<Seen>(timers_);
    }
    return *entry;
}

void Watchers::changed(const LockName& name) {
    if (is_watched(name) && queued_.insert(name.text()).second) {
        to_look_at_.push_back(name);
        look_at_next();
    }
}

void Watchers::look_at_next() {
    while (looking_ < kMaxLooking && !to_look_at_.empty()) {
        const LockName name = std::move(to_look_at_.front());
        to_look_at_.pop_front();
        queued_.erase(name.text());
        ++looking_;
        store_.inspect(
            name, command_timeout_, [weak = std::weak_ptr{self_}, name](const auto& found) {
                if (const auto self = weak.lock()) {
                    (*self)->on_look(name, found);
                }
            });
    }
}

void Watchers::on_look(const LockName& name, const StoreResult<std::optional<LockState>>& found) {
    --looking_;
    if (!is_watched(name)) {
        seen_.erase(name.text());
    } else if (found) {
        tell(*found ? **found : LockState{name});
    } else if (found.error().failure != StoreFailure::mode_conflict) {
        seen(name).expiry.set(clock_.now() + kRetry, [this, name] { changed(name); });
    }
    look_at_next();
}

void Watchers::tell(const LockState& lock) {
    const auto found = seen_.find(lock.name.text());
    const bool same =
        found == seen_.end() ? lock.holders.empty() : found->second->tokens == tokens_of(lock);
    note(lock);
    for (const auto& [id, watcher] : watchers_) {
        if (!watcher->scope.covers(lock.name)) {
            continue;
        }
        switch (watcher->state) {
            case State::reading:
            case State::pausing:
                watcher->changed_meanwhile.insert(lock.name.text());
                break;
            case State::following:
                if (same) {
                    break;
                }
                if (watcher->listener->has_room()) {
                    watcher->listener->changed(lock);
                } else {
                    watcher->state = State::lagging;
                }
                break;
            case State::waiting:
            case State::lagging:
                break;
        }
    }
}

// Remembers what is told of a lock, and looks at it again when the first of its leases ends.
void Watchers::note(const LockState& lock) {
    if (lock.holders.empty()) {
        seen_.erase(lock.name.text());
        return;
    }
    Seen& last = seen(lock.name);
    last.tokens = tokens_of(lock);
    last.expiry.set(clock_.now() + first_expiry(lock) + kExpiryMargin,
                    [this, name = lock.name] { changed(name); });
}

}  // namespace holdfast::core
