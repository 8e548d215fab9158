// QuorumLockStore: what is said of an attempt that was not granted, and how it is taken back.

#include "store/quorum_attempt.hpp"

#include <algorithm>

namespace holdfast::store {
namespace {

using core::Milliseconds;
using Verdict = Votes::Verdict;

constexpr std::size_t kMostUndos = 4096;  // at a node
constexpr core::Backoff kUndoAgain{Milliseconds{50}, Milliseconds{1000}};

}  // namespace

core::Busy QuorumLockStore::busy(const Attempt& attempt) {
    core::Busy busy;
    const Votes& votes = attempt.votes;
    const Vote* holder = votes.holder();
    if (holder != nullptr) {
        busy.holder.owner = holder->owner;
        busy.holder.token = {holder->token};
        busy.waiting_elsewhere = holder->waiting;
    }
    const Verdict verdict = votes.verdict();
    busy.recovering = verdict == Verdict::recovering;
    core::Duration look_again = std::chrono::microseconds{votes.free_in_us()};
    if (verdict == Verdict::held || verdict == Verdict::recovering) {
        // Others look then, too.
        look_again += evenly(4 * round_trip_ * (1 + busy.waiting_elsewhere), random_);
    } else {
        look_again = std::min<core::Duration>(look_again, kMostBackOff / 2) +
                     evenly(kMostBackOff / 2, random_);
    }
    busy.holder.expires_in = std::chrono::ceil<Milliseconds>(look_again);
    return busy;
}

// Takes back what the try may own or may come to own, and leaves the ticket of those who go on waiting.
void QuorumLockStore::undo(Attempt& attempt) {
    for (std::size_t node = 0; node < attempt.asked.size(); ++node) {
        if (!attempt.asked[node] || !attempt.votes.may_own(node)) {
            continue;
        }
        take_back(attempt.name,
                  node,
                  undo_,
                  {{attempt.nonce,
                    attempt.votes.may_come(node) ? "1" : "",
                    station_,
                    attempt.mine.empty() ? "-" : attempt.mine},
                   {}},
                  clock_.now() + (attempt.give_up_at - attempt.sent_at) +
                      core::store_hold(attempt.want.ttl));
    }
}

// A node has accepted the proposal, but the lease that the holder has goes on with an older token, which
// could never be put there. (What is undone there already has nothing granted.)
void QuorumLockStore::leave_to_older(const Attempt& attempt,
                                     unsigned number,
                                     std::size_t node,
                                     const Vote& vote) {
    if (number == attempt.number && attempt.granted.value > 0 &&
        vote.kind == Vote::Kind::accepted && vote.token > attempt.granted.value) {
        take_back(attempt.name,
                  node,
                  undo_,
                  {{attempt.nonce, "", station_, "-"}, {}},
                  clock_.now() + core::store_hold(attempt.want.ttl));
    }
}

// Its record there would stand in the way of others until it expires.
void QuorumLockStore::repeat_release(const core::Lease& lease, std::size_t node) {
    take_back(
        lease.name,
        node,
        release_,
        {{std::string{lease.holder.view()}, std::to_string(lease.token.value), station_, ""}, 3},
        clock_.now() + core::store_hold(nodes_.max_ttl()));
}

void QuorumLockStore::take_back(const core::LockName& name,
                                std::size_t node,
                                const ScriptPair& script,
                                Arguments arguments,
                                core::Instant until) {
    std::size_t& at_node = undos_at_[node];
    if (at_node >= kMostUndos) {
        return;  // it expires
    }
    ++at_node;
    const auto place = undos_.emplace(undos_.end(), name, script, timers_);
    place->node = node;
    place->arguments = std::move(arguments);
    place->until = until;
    send_undo(place);
}

void QuorumLockStore::send_undo(std::list<Undo>::iterator place) {
    constexpr Milliseconds kTimeout{1000};
    ask(place->node,
        place->script,
        place->name,
        place->arguments,
        kTimeout,
        true,
        [this, place](const Reply& reply) {
            const core::Instant now = clock_.now();
            if (reply || now >= place->until) {
                --undos_at_[place->node];
                undos_.erase(place);
                return;
            }
            if (&place->script == &undo_) {
                place->arguments.texts.back().assign(1,
                                                     '-');  // the ticket may be out of date by then
            }
            place->timer.set(now + kUndoAgain.after(++place->failures, random_),
                             [this, place] { send_undo(place); });
        });
}

}  // namespace holdfast::store
