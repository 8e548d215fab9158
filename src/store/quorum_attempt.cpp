// QuorumLockStore: one attempt to be granted a lock, from its TRYs to its answer or its undoing.

#include "store/quorum_attempt.hpp"

#include "store/letters.hpp"
#include "store/replies.hpp"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <set>

namespace holdfast::store {
namespace {

using core::Milliseconds;
using core::StoreError;
using core::StoreFailure;
using Kind = Vote::Kind;
using Verdict = Votes::Verdict;

constexpr std::size_t kMostWaiting = 9'999'999;  // a ticket has seven digits
// Round trips differ; who lost a vote shall not come again before the others' undos.
constexpr core::Duration kLeastRoundTrip = std::chrono::microseconds{200};
constexpr unsigned kMostContenders = 64;
// Who is in the way in more tries than this does not come and go.
constexpr unsigned kRivalStays = 3;

std::uint64_t number(const redis::Value& value) {
    return value.integer() > 0 ? static_cast<std::uint64_t>(value.integer()) : 0;
}

}  // namespace

QuorumLockStore::AttemptPtr QuorumLockStore::new_attempt(
    const core::LockName& name,
    const core::Want& want,
    Milliseconds timeout,
    core::StoreDone<core::AcquireAnswer> done) {
    auto attempt = std::make_shared<Attempt>(name, nodes_.size(), timers_);
    attempt->want = want;
    attempt->owner = want.owner;
    attempt->metadata = want.metadata;
    attempt->want.owner = attempt->owner;
    attempt->want.metadata = attempt->metadata;
    attempt->mine = want.follows ? "" : ticket(want.if_refused);
    attempt->next = ticket(want.if_granted);
    attempt->give_up_at = clock_.now() + timeout;
    attempt->done = std::move(done);
    return attempt;
}

std::string QuorumLockStore::stamp(core::Instant arrival) const {
    return absl::StrFormat("%016d", std::max<std::int64_t>(1, store_time(arrival)));
}

std::string QuorumLockStore::ticket(const std::optional<core::QueueHead>& head) const {
    return head ? stamp(head->arrival) +
                      absl::StrFormat("%07d", std::min(head->waiting, kMostWaiting))
                : std::string{};
}

Milliseconds QuorumLockStore::left(const Attempt& attempt) const {
    return std::max(core::remaining(clock_.now(), attempt.give_up_at), Milliseconds{1});
}

// Another nonce, and nothing known of it.
void QuorumLockStore::prepare_try(Attempt& attempt) {
    ++attempt.number;
    attempt.nonce = ids_.next().view();
    highest_ = std::max(static_cast<std::uint64_t>(wall_clock_()), highest_ + 1);
    attempt.proposal = highest_;
    attempt.votes = Votes{nodes_.size(), attempt.proposal, attempt.want.only_again};
    attempt.asked.assign(nodes_.size().nodes, false);
    attempt.over = false;
    attempt.sent_at = clock_.now();
}

void QuorumLockStore::begin_try(const AttemptPtr& attempt) {
    prepare_try(*attempt);
    attempt->first_alone = attempt->number > 1 && nodes_.taking_part() > 0;
    if (!attempt->first_alone) {
        ask_others(attempt);
        return;
    }
    const std::size_t first = nodes_.first_to_ask();
    send_try(attempt, first);
    attempt->timer.set(clock_.now() + nodes_.patience(), [this, first, &one = *attempt] {
        nodes_.is_late(first, clock_.now() - one.sent_at);
        one.first_alone = false;
        ask_others(one.shared_from_this());
    });
}

void QuorumLockStore::ask_others(const AttemptPtr& attempt) {
    for (std::size_t node = 0; node < attempt->asked.size(); ++node) {
        if (!attempt->asked[node]) {
            send_try(attempt, node);
        }
    }
}

// As lua/_quorum_try.lua describes.
void QuorumLockStore::append_want(const Attempt& attempt, std::vector<std::string>& texts) const {
    const core::Want& want = attempt.want;
    for (std::string text : {std::string{want.holder.view()},
                             std::string{want.call.view()},
                             attempt.nonce,
                             std::to_string(attempt.proposal),
                             in_us(core::store_hold(want.ttl)),
                             attempt.owner,
                             attempt.metadata,
                             want.watched ? station_ : std::string{},
                             in_us(want.lock_delay),
                             station_,
                             attempt.mine,
                             attempt.next,
                             std::string{want.only_again ? "1" : ""}}) {
        texts.push_back(std::move(text));
    }
}

void QuorumLockStore::send_try(const AttemptPtr& attempt, std::size_t node) {
    attempt->asked[node] = true;
    Arguments arguments{{""}, 0};
    append_want(*attempt, arguments.texts);
    ask(node,
        try_,
        attempt->name,
        arguments,
        left(*attempt),
        true,
        [this, attempt, number = attempt->number, node](const Reply& reply) {
            on_try(attempt, number, node, vote_of(reply, node, 0));
        });
}

// What `reply` says of a TRY, from element `at` on.
Vote QuorumLockStore::vote_of(const Reply& reply, std::size_t node, std::size_t at) {
    Vote vote;
    if (!reply) {
        vote.kind =
            reply.error().failure == StoreFailure::not_executed ? Kind::unreachable : Kind::silent;
        return vote;
    }
    if (nodes_.is_doubted(node)) {
        vote.kind = Kind::silent;  // not to be counted, and to be undone
        return vote;
    }
    const redis::Value& said = reply->value();
    switch (said[at].integer()) {
        case 1:
            vote.kind = Kind::accepted;
            vote.fence = vote.token = number(said[at + 2]);
            break;
        case 2:
            vote.kind = Kind::locked;
            vote.fence = number(said[at + 2]);
            vote.token = number(said[at + 3]);
            break;
        case 3:
            vote.kind = Kind::refused;
            vote.fence = number(said[at + 2]);
            vote.token = number(said[at + 3]);
            vote.left_us = said[at + 4].integer();
            vote.owner = said[at + 5].text();
            vote.waiting = number(said[at + 6]);
            vote.holder = said[at + 7].text();
            break;
        case 4:
            vote.kind = Kind::closed;
            break;
        case 5:
            vote.kind = Kind::conflict;
            break;
        case 6:
            vote.kind = Kind::not_held;
            vote.fence = number(said[at + 2]);
            break;
        case 7:
            vote.kind = Kind::not_ready;
            vote.left_us = said[at + 2].integer();
            nodes_.refused(node);
            break;
        default:
            vote.kind = Kind::silent;  // whatever that is
            break;
    }
    return vote;
}

void QuorumLockStore::on_try(const AttemptPtr& attempt,
                             unsigned number,
                             std::size_t node,
                             Vote vote) {
    highest_ = std::max(highest_, vote.fence);
    if (number != attempt->number || attempt->over || !attempt->done) {
        return leave_to_older(*attempt, number, node, vote);
    }
    const bool first = std::exchange(attempt->first_alone, false);
    // Who stays there for so long may have only this node, or all of them.
    const bool stays = attempt->rival_for >= kRivalStays && attempt->rival == vote.holder;
    const bool meets_another = first && vote.kind == Kind::refused && !stays;
    attempt->votes.cast(node, std::move(vote));
    if (meets_another) {
        on_contested(attempt);
        return;
    }
    if (first) {
        attempt->timer.cancel();
        ask_others(attempt);
    }
    step(attempt);
}

void QuorumLockStore::step(const AttemptPtr& attempt) {
    const Verdict verdict = attempt->votes.verdict();
    switch (verdict) {
        case Verdict::open:
            send_commits(attempt);  // if it is committing, to those who have come late
            hurry(attempt);
            break;
        case Verdict::commit:
            attempt->votes.begin_commit();
            highest_ = std::max(highest_, attempt->votes.token());
            send_commits(attempt);
            break;
        case Verdict::granted:
            on_grant(attempt);
            break;
        case Verdict::contested:
            ++counters_.contested;
            on_contested(attempt);
            break;
        case Verdict::held:
        case Verdict::closed:
        case Verdict::not_held:
        case Verdict::conflict:
        case Verdict::recovering:
        case Verdict::unreachable:
        case Verdict::unknown:
            refuse(attempt, verdict);
            break;
    }
}

// Two who have split the votes shall not wait for a node that stands still.
void QuorumLockStore::hurry(const AttemptPtr& attempt) {
    if (!attempt->votes.rest_is_spare() || attempt->timer.is_set()) {
        return;
    }
    bool worth_it = false;
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        const bool pending = attempt->votes.at(node).kind == Kind::pending;
        worth_it = worth_it || (pending && !nodes_.is_slow(node));
    }
    if (!worth_it) {
        do_without(attempt);
        return;
    }
    const core::Duration took = clock_.now() - attempt->sent_at;
    attempt->timer.set(attempt->sent_at + std::max(nodes_.patience(), 2 * took),
                       [this, &one = *attempt] {
                           for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
                               if (one.votes.at(node).kind == Kind::pending) {
                                   nodes_.is_late(node, clock_.now() - one.sent_at);
                               }
                           }
                           do_without(one.shared_from_this());
                       });
}

void QuorumLockStore::do_without(const AttemptPtr& attempt) {
    attempt->votes.give_up_pending();
    step(attempt);
}

void QuorumLockStore::send_commits(const AttemptPtr& attempt) {
    for (const std::size_t node : attempt->votes.commit_to()) {
        attempt->votes.sent_commit(node);
        const Arguments arguments{{"",
                                   attempt->nonce,
                                   std::to_string(attempt->votes.token()),
                                   attempt->votes.completes() ? "1" : ""},
                                  0};
        ask(node,
            commit_,
            attempt->name,
            arguments,
            left(*attempt),
            true,
            [this, attempt, number = attempt->number, node](const Reply& reply) {
                if (number != attempt->number || attempt->over || !attempt->done) {
                    return;
                }
                using Written = Votes::Written;
                Written what = Written::refused;
                if (!reply) {
                    what = reply.error().failure == StoreFailure::unknown ? Written::silent
                                                                          : Written::unreachable;
                } else if (nodes_.is_doubted(node)) {
                    what = Written::silent;
                } else if (reply->value()[0].integer() == 1) {
                    what = Written::done;
                }
                attempt->votes.written(node, what);
                step(attempt);
            });
    }
}

void QuorumLockStore::on_grant(const AttemptPtr& attempt) {
    const core::Instant now = clock_.now();
    attempt->timer.cancel();
    if (now >= attempt->sent_at + attempt->want.ttl.value) {
        undo(*attempt);
        std::exchange(attempt->done, nullptr)(tl::unexpected(
            StoreError{StoreFailure::unknown, "the nodes took longer than the ttl to agree"}));
        return;
    }
    round_trip_ += (now - attempt->sent_at - round_trip_) / 8;
    ++(attempt->votes.commits() ? counters_.slow : counters_.fast);
    const core::FencingToken token{attempt->votes.granted_token()};
    highest_ = std::max(highest_, token.value);
    attempt->granted = token;
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        leave_to_older(*attempt, attempt->number, node, attempt->votes.at(node));
    }
    std::exchange(attempt->done, nullptr)(core::Granted{token});
}

// Others try, too: again after a while, the first node first.
void QuorumLockStore::on_contested(const AttemptPtr& attempt) {
    std::set<std::string> others;
    std::size_t waiting = 0;
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        const Vote& vote = attempt->votes.at(node);
        if (vote.kind == Kind::refused) {
            others.insert(vote.holder);
            waiting = std::max(waiting, vote.waiting);
        }
    }
    const bool same = others.size() == 1 && *others.begin() == attempt->rival;
    attempt->rival_for = same ? attempt->rival_for + 1 : 1;
    attempt->rival = others.size() == 1 ? *others.begin() : std::string{};
    const std::size_t contenders = std::min<std::size_t>(
        std::max({others.size() + 1, waiting + 1, std::size_t{1} << std::min(attempt->number, 6U)}),
        kMostContenders);
    const core::Duration most = std::min<core::Duration>(
        2 * std::max(round_trip_, kLeastRoundTrip) * contenders, kMostBackOff);
    const core::Instant again = clock_.now() + evenly(most, random_);
    // What cannot be asked of the first node and then of the others is not begun.
    const bool too_late = again + 2 * nodes_.patience() >= attempt->give_up_at;
    if (attempt->number >= attempt->most_tries || too_late || attempt->rival_for > kRivalStays) {
        refuse(attempt, Verdict::contested);
        return;
    }
    undo(*attempt);
    attempt->over = true;
    resting_.insert(attempt);
    attempt->timer.set(again, [this, &one = *attempt] {
        const auto resting = resting_.extract(one.shared_from_this());
        begin_try(resting.value());
    });
}

// It ends without a grant.
void QuorumLockStore::refuse(const AttemptPtr& attempt, Verdict verdict) {
    attempt->timer.cancel();
    undo(*attempt);
    auto done = std::exchange(attempt->done, nullptr);
    switch (verdict) {
        case Verdict::held:
        case Verdict::contested:
        case Verdict::recovering:
            done(busy(*attempt));
            return;
        case Verdict::closed:
            done(core::Closed{});
            return;
        case Verdict::not_held:
            done(core::NotHeld{});
            return;
        case Verdict::conflict:
            done(tl::unexpected(StoreError{StoreFailure::mode_conflict,
                                           "the key holds something that is no lock of a quorum"}));
            return;
        case Verdict::open:
        case Verdict::commit:
        case Verdict::granted:
        case Verdict::unreachable:
        case Verdict::unknown:
            done(tl::unexpected(too_few(verdict != Verdict::unreachable)));
            return;
    }
}

}  // namespace holdfast::store
