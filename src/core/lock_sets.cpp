// Renewing and releasing a set of locks. Taking one: lock_set.cpp.

#include "core/lock_sets.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast::core {
namespace {

// The answers about the locks of a set, as they come in at the shard of the first.
template <class T>
struct Answers {
    std::vector<std::optional<Result<T>>> by_lock;
    std::size_t missing;
    absl::AnyInvocable<void(const std::vector<std::optional<Result<T>>>&)> done;
};

// Asks every lock's shard, by `ask(manager, lease, done)`, and calls `done` once with all the answers.
template <class T, class Ask, class WhenAll>
void ask_all(const Post& post, const std::vector<Lease>& leases, Ask ask, WhenAll done) {
    const auto answers = std::make_shared<Answers<T>>();
    answers->by_lock.resize(leases.size());
    answers->missing = leases.size();
    answers->done = std::move(done);
    for (std::size_t i = 0; i < leases.size(); ++i) {
        auto take = [post, home = leases.front().name, answers, i](Result<T> answer) {
            post(home, [answers, i, answer = std::move(answer)](LockManager&) mutable {
                answers->by_lock[i] = std::move(answer);
                if (--answers->missing == 0) {
                    answers->done(answers->by_lock);
                }
            });
        };
        post(leases[i].name,
             [ask, lease = leases[i], take = std::move(take)](LockManager& manager) mutable {
                 ask(manager, std::move(lease), std::move(take));
             });
    }
}

// How bad an answer is; the worst of a set is the answer of all.
int badness(const Result<Grant>& renewed) {
    if (renewed) {
        return 0;
    }
    return renewed.error().reason == Reason::lease_lost ? 2 : 1;
}

int badness(const Result<Released>& released) {
    if (!released) {
        return released.error().reason == Reason::not_found ? 2 : 4;
    }
    switch (released->verdict) {
        case Verdict::held_throughout:
            return 0;
        case Verdict::already_expired:
            return 1;
        case Verdict::superseded:
            return 3;
    }
    return 4;
}

template <class T>
Result<T> worst(const std::vector<Lease>& leases,
                const std::vector<std::optional<Result<T>>>& answers) {
    const auto found =
        std::max_element(answers.begin(), answers.end(), [](const auto& a, const auto& b) {
            return badness(*a) < badness(*b);
        });
    if (**found) {
        return **found;
    }
    Error error = (*found)->error();
    const bool all_alike = std::all_of(answers.begin(), answers.end(), [&](const auto& answer) {
        return !*answer && answer->error().reason == error.reason;
    });
    if (error.reason == Reason::store_unavailable && !all_alike) {
        error.reason = Reason::outcome_unknown;  // something was done, or may have been
    }
    const auto place = static_cast<std::size_t>(found - answers.begin());
    return tl::unexpected(of_lock(leases[place].name, std::move(error)));
}

}  // namespace

Error of_lock(const LockName& name, Error error) {
    error.message = "\"" + name.text() + "\": " + error.message;
    error.metadata["name"] = name.text();
    return error;
}

void renew_set(
    const Post& post, LeaseSet set, Ttl ttl, LockManager::CallTimes times, Done<SetGrant> done) {
    const std::vector<Lease> leases = set.leases;
    ask_all<Grant>(
        post,
        leases,
        [ttl, times](LockManager& manager, Lease lease, Done<Grant> renewed) {
            manager.renew(std::move(lease), ttl, times, std::move(renewed));
        },
        [set = std::move(set), ttl, done = std::move(done)](const auto& answers) mutable {
            const Result<Grant> whole = worst<Grant>(set.leases, answers);
            if (!whole) {
                done(tl::unexpected(whole.error()));
                return;
            }
            SetGrant grant{std::move(set), ttl, kNever};
            for (const auto& renewed : answers) {
                grant.sent_at = std::min(grant.sent_at, (*renewed)->sent_at);
            }
            done(std::move(grant));
        });
}

void release_set(const Post& post, LeaseSet set, Instant call_deadline, Done<Released> done) {
    const std::vector<Lease> leases = set.leases;
    ask_all<Released>(
        post,
        leases,
        [call_deadline](LockManager& manager, Lease lease, Done<Released> released) {
            manager.release(std::move(lease), call_deadline, std::move(released));
        },
        [set = std::move(set), done = std::move(done)](const auto& answers) mutable {
            done(worst<Released>(set.leases, answers));
        });
}

}  // namespace holdfast::core
