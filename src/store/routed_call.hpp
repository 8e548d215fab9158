#pragma once

// One call on its way to the primary that serves its slot. No primary has executed anything before the next
// one is asked: each says so (MOVED, ASK), or has not been sent anything.
//
//   at the owner   -> waiting, if that is not usable yet, but may be soon (it has just become part of the
//                     Cluster, or is looked at after a failover)
//                  -> over, refused: nobody serves the slot, or its primary is down. Who can wait asks again
//                  -> sent
//   waiting        -> at the owner, in a moment, up to the timeout
//   sent           -> over, with an answer, or when it may have been executed
//                  -> sent, elsewhere: MOVED, and the map knows it from then on; or ASK, for this time only.
//                     Made anew there, by the clock of that primary. At most kMostHops times
//                  -> waiting: ASK by a primary of whose memory nothing is known (any more)
//                  -> over, refused: TRYAGAIN, CLUSTERDOWN, no connection, ...; the map is asked for
//
// ASK says that the key is not there (any more), and a primary that has forgotten it says so, too. So who is
// asked instead grants nothing before both do: its own wait is in what its store knows, the other's goes along.
//
// The timeout counts for all of it.

#include "store/cluster_lock_store.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace holdfast::store {

template <class Answer>
class RoutedCall : public std::enable_shared_from_this<RoutedCall<Answer>> {
public:
    // What to ask of whichever primary; can be called again.
    using Send = absl::AnyInvocable<void(
        RedisLockStore& store, core::Milliseconds timeout, core::StoreDone<Answer> done)>;

    RoutedCall(ClusterLockStore& store,
               redis::Slot slot,
               core::Milliseconds timeout,
               Send send,
               core::StoreDone<Answer> done)
        : store_(store),
          slot_(slot),
          until_(store.clock_.now() + timeout),
          send_(std::move(send)),
          done_(std::move(done)) {}

    void start() {
        redis::Cluster::Node* node = store_.cluster_.owner(slot_);
        if (node == nullptr) {
            store_.cluster_.refresh();
            refuse_later(store_.cluster_.map().known()
                             ? "no primary of the Cluster serves slot " + std::to_string(slot_)
                             : store_.cluster_.why_unknown());
            return;
        }
        go_to(*node, std::nullopt);
    }

private:
    static constexpr int kMostHops = 5;
    // It is no use to begin with less.
    static constexpr core::Milliseconds kLeast{20};

    core::Milliseconds left() const {
        return std::chrono::floor<core::Milliseconds>(until_ - store_.clock_.now());
    }

    // `asked_by`: when the primary that has sent it here, by ASK, grants anything; empty: it is the owner.
    void go_to(redis::Cluster::Node& node, std::optional<core::Instant> asked_by) {
        ClusterHome* home = store_.home_of(node);
        if (home == nullptr || !home->usable()) {
            wait_for(home);
            return;
        }
        std::optional<redis::Cluster::Node::Asking> ahead;
        std::optional<RedisLockStore::NotBefore> closed;
        if (asked_by) {
            ahead.emplace(node);
            if (*asked_by > store_.clock_.now()) {
                closed.emplace(home->store(), *asked_by);
            }
        }
        home->store().raise_floor(store_.floor_);
        send_(home->store(),
              std::max(left(), core::Milliseconds{1}),
              [self = this->shared_from_this(), home](core::StoreResult<Answer> answer) {
                  self->on_answer(*home, std::move(answer));
              });
    }

    // Begins anew in a moment, if the primary may be usable by then.
    void wait_for(ClusterHome* home) {
        if ((home == nullptr || home->worth_waiting()) && left() > kLeast) {
            hops_ = 0;
            store_.park([self = this->shared_from_this()] { self->start(); });
        } else {
            refuse_later(home == nullptr ? "the primary is not known" : home->why_not());
        }
    }

    void on_answer(ClusterHome& home, core::StoreResult<Answer> answer) {
        store_.floor_ = std::max(store_.floor_, home.store().floor());
        if (answer || answer.error().failure != core::StoreFailure::not_executed) {
            done_(std::move(answer));
            return;
        }
        const auto redirect =
            redis::parse_redirect(answer_in(answer.error()), home.node().address());
        if (!redirect) {
            store_.cluster_.refresh();
            done_(std::move(answer));
        } else if (++hops_ > kMostHops || left() < kLeast) {
            done_(std::move(answer));
        } else if (redirect->kind == redis::Redirect::Kind::moved) {
            go_to(store_.cluster_.follow(*redirect), std::nullopt);
        } else if (home.usable()) {
            const core::Instant opens_at = home.store().canary().opens_at();
            go_to(store_.cluster_.follow(*redirect), opens_at);
        } else {
            wait_for(&home);
        }
    }

    // Not from within the call.
    void refuse_later(std::string why) {
        store_.park([self = this->shared_from_this(), why = std::move(why)] {
            self->done_(tl::unexpected(core::StoreError{core::StoreFailure::not_executed, why}));
        });
    }

    ClusterLockStore& store_;
    const redis::Slot slot_;
    const core::Instant until_;
    Send send_;
    core::StoreDone<Answer> done_;
    int hops_ = 0;
};

}  // namespace holdfast::store
