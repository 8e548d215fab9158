#include "daemon/peer_answers.hpp"

#include <utility>

namespace holdfast::daemon {

core::PeerAnswer explain(const core::LockManager& manager,
                         const core::LockName& name,
                         core::Instant now,
                         const std::function<std::int64_t(core::Instant)>& store_time) {
    using core::PeerAnswer;
    PeerAnswer answer;
    for (auto& one : manager.waiting_for(name, PeerAnswer::kMostWaiters + 1)) {
        if (answer.waiters.size() == PeerAnswer::kMostWaiters) {
            answer.cut = true;
            break;
        }
        answer.waiters.push_back({std::move(one.owner),
                                  one.mode,
                                  one.priority,
                                  core::remaining(one.since, now),
                                  one.arrival ? store_time(*one.arrival) : 0});
    }
    for (auto& one : manager.recorder().of(name, PeerAnswer::kMostTransitions + 1)) {
        if (answer.transitions.size() == PeerAnswer::kMostTransitions) {
            answer.cut = true;
            break;
        }
        answer.transitions.push_back({core::remaining(one.at, now),
                                      core::to_string(one.what),
                                      std::move(one.owner),
                                      one.token});
    }
    return answer;
}

}  // namespace holdfast::daemon
