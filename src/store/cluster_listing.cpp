// ClusterLockStore::list: SCAN at one node after the other, then a look at each lock found, wherever it is.

#include "store/cluster_lock_store.hpp"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <utility>

namespace holdfast::store {
namespace {

// Where a list goes on, as one number. If slots have another owner than when the pass began, another begins.
struct Place {
    std::uint64_t fingerprint = 0;  // of the map, some bits of it
    std::uint64_t pass = 0;
    std::uint64_t node = 0;    // of those that serve slots, by address
    std::uint64_t cursor = 0;  // there; 0: its beginning

    static constexpr unsigned kCursorBits =
        38;  // of SCAN: smaller than the key space is large, twice
    static constexpr unsigned kNodeBits = 10;  // a Cluster has 1,000 nodes at most
    static constexpr unsigned kPassBits = 2;
    static constexpr unsigned kFingerprintBits = 14;
    // A Cluster that moves slots all the time is not listed for ever.
    static constexpr std::uint64_t kLastPass = (1 << kPassBits) - 1;

    static std::uint64_t low(std::uint64_t number, unsigned bits) {
        return number & ((std::uint64_t{1} << bits) - 1);
    }
    static std::uint64_t taken(std::uint64_t& from, unsigned bits) {
        const std::uint64_t number = low(from, bits);
        from >>= bits;
        return number;
    }

    static Place parse(std::uint64_t number) {
        Place place;
        place.cursor = taken(number, kCursorBits);
        place.node = taken(number, kNodeBits);
        place.pass = taken(number, kPassBits);
        place.fingerprint = number;
        return place;
    }
    std::string text() const {
        std::uint64_t number = fingerprint;
        number = number << kPassBits | pass;
        number = number << kNodeBits | low(node, kNodeBits);
        number = number << kCursorBits | low(cursor, kCursorBits);
        return std::to_string(number);
    }
    // The map has this fingerprint now. True if another pass begins.
    bool follow(std::uint64_t now) {
        now = low(now, kFingerprintBits);
        if (fingerprint == now || pass == kLastPass) {
            return false;
        }
        *this = {now, pass + 1};
        return true;
    }
};

// Answers for the locks of one page.
struct Page {
    std::vector<core::LockState> held;
    std::string next;
    std::size_t missing = 0;
    std::optional<core::StoreError> error;
    core::StoreDone<core::LockPage> done;

    void over() {
        if (error) {
            done(tl::unexpected(*error));
        } else {
            done(core::LockPage{std::move(held), std::move(next)});
        }
    }
};

}  // namespace

// Those that serve slots, by address.
std::vector<ClusterHome*> ClusterLockStore::homes_in_order() const {
    std::vector<ClusterHome*> homes;
    for (const auto& [node, home] : homes_) {
        if (!cluster_.map().slots_of(node->address()).empty()) {
            homes.push_back(home);
        }
    }
    std::sort(homes.begin(), homes.end(), [](ClusterHome* a, ClusterHome* b) {
        return a->node().address().text() < b->node().address().text();
    });
    return homes;
}

void ClusterLockStore::list(std::string_view prefix,
                            std::string_view from,
                            std::size_t limit,
                            core::Milliseconds timeout,
                            core::StoreDone<core::LockPage> done) {
    std::uint64_t number = 0;
    const bool goes_on = absl::SimpleAtoi(absl::string_view{from.data(), from.size()}, &number);
    const std::uint64_t fingerprint = cluster_.map().fingerprint();
    Place place =
        goes_on ? Place::parse(number) : Place{Place::low(fingerprint, Place::kFingerprintBits)};
    place.follow(fingerprint);
    const std::vector<ClusterHome*> homes = homes_in_order();
    if (place.node >= homes.size()) {
        park([this, done = std::move(done)]() mutable {
            if (homes_in_order().empty()) {
                done(tl::unexpected(
                    core::StoreError{core::StoreFailure::not_executed, cluster_.why_unknown()}));
            } else {
                done(core::LockPage{});
            }
        });
        return;
    }
    const std::string cursor = place.cursor == 0 ? "" : std::to_string(place.cursor);
    homes[place.node]->store().scan(
        prefix,
        cursor,
        limit,
        timeout,
        [this, place, nodes = homes.size(), timeout, done = std::move(done)](auto found) mutable {
            if (!found) {
                cluster_.refresh();
                done(tl::unexpected(found.error()));
                return;
            }
            auto& [names, next] = *found;
            if (!absl::SimpleAtoi(next, &place.cursor)) {
                place.cursor = 0;
                ++place.node;
            }
            const bool again = place.follow(cluster_.map().fingerprint());
            inspect_all(
                names, again || place.node < nodes ? place.text() : "", timeout, std::move(done));
        });
}

// Those of the names that are held locks.
void ClusterLockStore::inspect_all(const std::vector<std::string>& names,
                                   std::string next,
                                   core::Milliseconds timeout,
                                   core::StoreDone<core::LockPage> done) {
    const auto page = std::make_shared<Page>();
    page->next = std::move(next);
    page->done = std::move(done);
    std::vector<core::LockName> locks;
    for (const std::string& name : names) {
        if (auto lock = core::LockName::parse(name)) {  // else a foreign key: no lock
            locks.push_back(*std::move(lock));
        }
    }
    page->missing = locks.size();
    if (locks.empty()) {
        page->over();
        return;
    }
    for (const core::LockName& lock : locks) {
        inspect(lock, timeout, [page](auto state) {
            if (!state && state.error().failure != core::StoreFailure::mode_conflict) {
                page->error = state.error();
            } else if (state && *state && !(*state)->holders.empty()) {
                page->held.push_back(**std::move(state));
            }
            if (--page->missing == 0) {
                page->over();
            }
        });
    }
}

}  // namespace holdfast::store
