// QuorumLockStore: a lease that is released, and handed on.

#include "store/quorum_attempt.hpp"

namespace holdfast::store {

using core::Milliseconds;
using core::StoreError;
using core::StoreFailure;

// A release, and the attempt for whoever comes next.
struct QuorumLockStore::Releasing {
    Releasing(core::Lease what, QuorumSize size) : lease(std::move(what)), ending(size) {}
    core::Lease lease;
    Ending ending;
    std::size_t missing = 0;
    AttemptPtr attempt;  // empty: nobody comes next
    unsigned number = 0;
    core::ReleaseAnswer answer;
    std::optional<StoreError> failed;
    bool ended = false;  // the verdict is known
    core::StoreDone<core::ReleaseAnswer> done;
};

void QuorumLockStore::release(const core::Lease& lease,
                              const std::optional<core::Want>& next,
                              Milliseconds timeout,
                              core::StoreDone<core::ReleaseAnswer> done) {
    auto releasing = std::make_shared<Releasing>(lease, nodes_.size());
    releasing->done = std::move(done);
    releasing->missing = nodes_.size().nodes;
    Arguments arguments{
        {std::string{lease.holder.view()}, std::to_string(lease.token.value), station_, ""}, 3};
    if (next && next->access.mode == core::Mode::exclusive && !next->upgrade) {
        releasing->attempt = new_attempt(
            lease.name, *next, timeout, [releasing](core::StoreResult<core::AcquireAnswer> answer) {
                releasing->answer.handed = std::move(answer);
                finish_release(releasing);
            });
        Attempt& attempt = *releasing->attempt;
        attempt.most_tries = 1;  // whoever has released waits for its answer
        prepare_try(attempt);
        attempt.asked.assign(nodes_.size().nodes, true);
        releasing->number = attempt.number;
        arguments.texts.push_back(stamp(next->arrival));
        append_want(attempt, arguments.texts);
    } else if (next) {
        releasing->answer.handed = tl::unexpected(
            StoreError{StoreFailure::mode_conflict, "a quorum keeps exclusive locks only"});
    }
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        ask(node,
            release_,
            lease.name,
            arguments,
            timeout,
            false,
            [this, releasing, node](const Reply& reply) { on_release(releasing, node, reply); });
    }
}

void QuorumLockStore::on_release(const std::shared_ptr<Releasing>& releasing,
                                 std::size_t node,
                                 const Reply& reply) {
    constexpr std::size_t kTried = 3;  // where that begins
    Ending::Answer answer;
    if (reply) {
        constexpr Ending::Kind kKinds[] = {Ending::Kind::no_trace,
                                           Ending::Kind::held,
                                           Ending::Kind::not_held,
                                           Ending::Kind::newer};
        const std::int64_t code = reply->value()[0].integer();
        answer.kind = code >= 0 && code < static_cast<std::int64_t>(std::size(kKinds))
                          ? kKinds[code]
                          : Ending::Kind::conflict;
        if (answer.kind == Ending::Kind::newer) {
            answer.newer =
                static_cast<std::uint64_t>(std::max<std::int64_t>(0, reply->value()[2].integer()));
        }
    }
    releasing->ending.answer(node, answer);
    --releasing->missing;
    if (!reply) {
        repeat_release(releasing->lease, node);
    }
    const auto verdict = releasing->ending.verdict();
    if (!releasing->ended && verdict != Ending::Verdict::open) {
        releasing->ended = true;
        using core::Verdict;
        switch (verdict) {
            case Ending::Verdict::held_throughout:
                releasing->answer.ended = core::Released{Verdict::held_throughout, {}};
                break;
            case Ending::Verdict::expired:
                releasing->answer.ended = core::Released{Verdict::already_expired, {}};
                break;
            case Ending::Verdict::superseded:
                releasing->answer.ended =
                    core::Released{Verdict::superseded, {releasing->ending.newer()}};
                break;
            case Ending::Verdict::no_trace:
                releasing->answer.ended = core::NoSuchLease{};
                break;
            case Ending::Verdict::conflict:
                releasing->failed = StoreError{StoreFailure::mode_conflict,
                                               "the key holds something else at some nodes"};
                break;
            case Ending::Verdict::open:
            case Ending::Verdict::unanswered:
                releasing->failed = too_few(true);
                break;
        }
    }
    if (releasing->attempt) {
        // Where the key is no lock, nothing was tried.
        const bool tried = !reply || reply->value().size() > kTried;
        Vote vote;
        vote.kind = Vote::Kind::conflict;
        on_try(releasing->attempt,
               releasing->number,
               node,
               tried ? vote_of(reply, node, kTried) : vote);
    }
    finish_release(releasing);
}

void QuorumLockStore::finish_release(const std::shared_ptr<Releasing>& releasing) {
    const auto& handed = releasing->answer.handed;
    if (!releasing->ended && handed && *handed && std::holds_alternative<core::Granted>(**handed)) {
        // Who comes next has it and shall hear of it. The verdict is what is known without those that have
        // not answered; they could only make it better.
        Ending known = releasing->ending;
        for (std::size_t node = 0; node < releasing->attempt->asked.size(); ++node) {
            if (releasing->attempt->votes.may_come(node)) {
                known.answer(node, {});
            }
        }
        releasing->ended = true;
        if (known.verdict() == Ending::Verdict::superseded) {
            releasing->answer.ended = core::Released{core::Verdict::superseded, {known.newer()}};
        } else if (known.verdict() == Ending::Verdict::no_trace) {
            releasing->answer.ended = core::NoSuchLease{};
        } else {
            releasing->answer.ended = core::Released{core::Verdict::already_expired, {}};
        }
    }
    if (!releasing->done || !releasing->ended ||
        (releasing->attempt && !releasing->answer.handed)) {
        return;
    }
    auto done = std::exchange(releasing->done, nullptr);
    if (releasing->failed) {
        done(tl::unexpected(*releasing->failed));
    } else {
        done(std::move(releasing->answer));
    }
}

}  // namespace holdfast::store
