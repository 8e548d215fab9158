#include "store/quorum_votes.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::store {

using Kind = Vote::Kind;

void Votes::cast(std::size_t node, Vote vote) {
    votes_[node] = std::move(vote);
}

void Votes::written(std::size_t node, Written what) {
    written_[node] = what;
}

std::size_t Votes::count(Kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        votes_.begin(), votes_.end(), [kind](const Vote& vote) { return vote.kind == kind; }));
}

bool Votes::owns(std::size_t node) const {
    return votes_[node].kind == Kind::accepted || votes_[node].kind == Kind::locked;
}

std::size_t Votes::owned() const {
    return count(Kind::accepted) + count(Kind::locked);
}

std::size_t Votes::answered() const {
    return owned() + count(Kind::refused) + count(Kind::not_held);
}

bool Votes::rest_is_spare() const {
    return count(Kind::pending) > 0 && answered() >= size_.required && older_token() == 0;
}

void Votes::give_up_pending() {
    for (Vote& vote : votes_) {
        vote.kind = vote.kind == Kind::pending ? Kind::silent : vote.kind;
    }
}

bool Votes::may_come(std::size_t node) const {
    return votes_[node].kind == Kind::pending || votes_[node].kind == Kind::silent;
}

bool Votes::may_own(std::size_t node) const {
    return owns(node) || may_come(node);
}

// What the holder has from before this attempt: the token that `required` nodes have, which may have been
// told; else the newest at some node; 0: none. (A node that another attempt of the holder came to first may
// have a newer one, which is nobody's.)
std::uint64_t Votes::older_token() const {
    std::uint64_t newest = 0;
    for (const Vote& vote : votes_) {
        if (vote.kind != Kind::locked || vote.token == 0) {
            continue;
        }
        if (with_token(vote.token) >= size_.required) {
            return vote.token;
        }
        newest = std::max(newest, vote.token);
    }
    return newest;
}

std::size_t Votes::with_token(std::uint64_t token) const {
    return static_cast<std::size_t>(
        std::count_if(votes_.begin(), votes_.end(), [token](const Vote& vote) {
            return vote.kind == Kind::locked && vote.token == token;
        }));
}

Votes::Verdict Votes::verdict() const {
    return written_.empty() ? trying() : committing();
}

Votes::Verdict Votes::trying() const {
    if (count(Kind::closed) > 0) {
        return Verdict::closed;
    }
    const std::uint64_t older = older_token();
    if (count(Kind::accepted) >= size_.required ||
        (older > 0 && with_token(older) >= size_.required)) {
        return Verdict::granted;
    }
    const std::size_t pending = count(Kind::pending);
    if (owned() >= size_.required && (older == 0 || pending == 0)) {
        return Verdict::commit;
    }
    return owned() + pending >= size_.required ? Verdict::open : why_not();
}

Votes::Verdict Votes::why_not() const {
    const std::size_t absent =
        count(Kind::silent) + count(Kind::unreachable) + count(Kind::not_ready);
    // The holder may have the lease at nodes that cannot be asked, with any token that is somewhere.
    if (std::any_of(votes_.begin(), votes_.end(), [&](const Vote& vote) {
            return vote.kind == Kind::locked && vote.token > 0 &&
                   with_token(vote.token) + absent >= size_.required;
        })) {
        return Verdict::unknown;
    }
    if (count(Kind::conflict) > 0) {
        return Verdict::conflict;
    }
    if (answered() >= size_.required) {
        if (only_again_) {
            return Verdict::not_held;
        }
        const Vote* most = holder();
        const auto same = std::count_if(votes_.begin(), votes_.end(), [most](const Vote& vote) {
            return most != nullptr && vote.kind == Kind::refused && vote.holder == most->holder;
        });
        return static_cast<std::size_t>(same) >= size_.required ? Verdict::held
                                                                : Verdict::contested;
    }
    if (count(Kind::pending) > 0) {
        return Verdict::open;  // it can still be told whose the lock is
    }
    if (count(Kind::silent) > 0) {
        return Verdict::unknown;
    }
    return count(Kind::not_ready) > 0 ? Verdict::recovering : Verdict::unreachable;
}

std::uint64_t Votes::granted_token() const {
    if (commits()) {
        return token_;
    }
    return count(Kind::accepted) >= size_.required ? proposal_ : older_token();
}

void Votes::begin_commit() {
    const std::uint64_t older = older_token();
    std::size_t can_have = 0;
    for (std::size_t node = 0; node < votes_.size(); ++node) {
        can_have +=
            owns(node) && (votes_[node].token == older || votes_[node].fence < older) ? 1 : 0;
    }
    completes_ = older > 0 && can_have >= size_.required;
    token_ = completes_ ? older : highest() + 1;
    written_.assign(votes_.size(), std::nullopt);
    for (std::size_t node = 0; completes_ && node < votes_.size(); ++node) {
        if (votes_[node].kind == Kind::locked && votes_[node].token == older) {
            written_[node] = Written::done;
        }
    }
}

std::vector<std::size_t> Votes::commit_to() const {
    std::vector<std::size_t> nodes;
    for (std::size_t node = 0; node < written_.size(); ++node) {
        if (owns(node) && !written_[node] && votes_[node].fence < token_) {
            nodes.push_back(node);
        }
    }
    return nodes;
}

void Votes::sent_commit(std::size_t node) {
    written_[node] = Written::pending;
}

Votes::Verdict Votes::committing() const {
    std::size_t done = 0;
    std::size_t open = 0;
    std::size_t silent = 0;
    for (std::size_t node = 0; node < votes_.size(); ++node) {
        const auto& what = written_[node];
        done += what == Written::done ? 1 : 0;
        silent += what == Written::silent ? 1 : 0;
        const bool may_be_asked = !what && (votes_[node].kind == Kind::pending ||
                                            (owns(node) && votes_[node].fence < token_));
        open += what == Written::pending || may_be_asked ? 1 : 0;
    }
    if (done >= size_.required) {
        return Verdict::granted;
    }
    if (done + open >= size_.required) {
        return Verdict::open;
    }
    return silent > 0 ? Verdict::unknown : Verdict::contested;
}

const Vote* Votes::holder() const {
    const Vote* most = nullptr;
    std::ptrdiff_t times = 0;
    for (const Vote& vote : votes_) {
        if (vote.kind != Kind::refused) {
            continue;
        }
        const auto same = std::count_if(votes_.begin(), votes_.end(), [&vote](const Vote& other) {
            return other.kind == Kind::refused && other.holder == vote.holder;
        });
        if (same > times) {
            most = &vote;
            times = same;
        }
    }
    return most;
}

std::int64_t Votes::free_in_us() const {
    std::vector<std::int64_t> times;
    for (std::size_t node = 0; node < votes_.size(); ++node) {
        const Vote& vote = votes_[node];
        if (vote.kind == Kind::refused || vote.kind == Kind::not_ready) {
            times.push_back(vote.left_us);
        } else if (owns(node)) {
            times.push_back(0);
        }
    }
    std::sort(times.begin(), times.end());
    return times.empty() ? 0 : times[std::min(times.size(), size_.required) - 1];
}

std::uint64_t Votes::highest() const {
    std::uint64_t fence = 0;
    for (const Vote& vote : votes_) {
        fence = std::max({fence, vote.fence, vote.token});
    }
    return fence;
}

std::size_t Renewal::count(Kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        answers_.begin(), answers_.end(), [kind](const std::optional<Answer>& answer) {
            return answer && answer->kind == kind;
        }));
}

Renewal::Verdict Renewal::verdict() const {
    const std::size_t renewed = count(Kind::renewed);
    if (renewed >= size_.required) {
        // Not all nodes have heard of every revocation.
        return !adopts_ && count(Kind::closed) > 0 ? Verdict::closed : Verdict::renewed;
    }
    const auto pending =
        static_cast<std::size_t>(std::count(answers_.begin(), answers_.end(), std::nullopt));
    if (renewed + pending >= size_.required) {
        return Verdict::open;
    }
    if (count(Kind::released) > 0) {
        return Verdict::released;
    }
    if (renewed + count(Kind::closed) >= size_.required) {
        return Verdict::closed;
    }
    // It is not at `required` nodes, wherever else it may be.
    return renewed + count(Kind::absent) < size_.required ? Verdict::lost : Verdict::unanswered;
}

std::uint64_t Renewal::highest() const {
    std::uint64_t fence = 0;
    for (const auto& answer : answers_) {
        fence = answer ? std::max(fence, answer->fence) : fence;
    }
    return fence;
}

std::int64_t Renewal::closes_in_us() const {
    std::int64_t earliest = -1;
    for (const auto& answer : answers_) {
        if (answer && answer->closes_in_us >= 0) {
            earliest =
                earliest < 0 ? answer->closes_in_us : std::min(earliest, answer->closes_in_us);
        }
    }
    return earliest;
}

bool Renewal::repairable(std::size_t node, std::uint64_t token) const {
    const auto& answer = answers_[node];
    if (!answer) {
        return false;
    }
    return (answer->kind == Kind::lacking && answer->fence <= token) ||
           (answer->kind == Kind::forgotten &&
            (answer->fence <= token || fence_of_others(node).value_or(token + 1) <= token));
}

std::optional<std::uint64_t> Renewal::fence_of_others(std::size_t node) const {
    std::uint64_t fence = 0;
    std::size_t others = 0;
    for (std::size_t other = 0; other < answers_.size(); ++other) {
        const auto& answer = answers_[other];
        if (other != node && answer && answer->kind != Kind::absent &&
            answer->kind != Kind::conflict) {
            fence = std::max(fence, answer->fence);
            ++others;
        }
    }
    return others >= size_.majority() ? std::optional{fence} : std::nullopt;
}

std::size_t Ending::count(Kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        answers_.begin(), answers_.end(), [kind](const std::optional<Answer>& answer) {
            return answer && answer->kind == kind;
        }));
}

Ending::Verdict Ending::verdict() const {
    const std::size_t held = count(Kind::held);
    if (held >= size_.required) {
        return Verdict::held_throughout;
    }
    const std::size_t known =
        held + count(Kind::not_held) + count(Kind::newer) + count(Kind::no_trace);
    const auto pending =
        static_cast<std::size_t>(std::count(answers_.begin(), answers_.end(), std::nullopt));
    if (pending > 0 && (held + pending >= size_.required || known < size_.required)) {
        return Verdict::open;
    }
    if (known < size_.required) {
        return count(Kind::conflict) > 0 ? Verdict::conflict : Verdict::unanswered;
    }
    // While one node has it, a higher fence at another may be that of an attempt that came to nothing.
    const std::size_t newer = count(Kind::newer);
    if (newer >= size_.required || (newer > 0 && held == 0)) {
        return Verdict::superseded;
    }
    return held + count(Kind::not_held) > 0 ? Verdict::expired : Verdict::no_trace;
}

std::uint64_t Ending::newer() const {
    std::uint64_t newest = 0;
    for (const auto& answer : answers_) {
        newest = answer ? std::max(newest, answer->newer) : newest;
    }
    return newest;
}

}  // namespace holdfast::store
