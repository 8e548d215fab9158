#include "history.hpp"

#include <algorithm>
#include <map>

namespace holdfast::e2e {
namespace {

using Problems = History::Problems;
using Time = Hold::Time;
using Holds = std::vector<Hold>;

std::map<std::string, Holds> by_name(const Holds& holds) {
    std::map<std::string, Holds> groups;
    for (const Hold& hold : holds) {
        groups[hold.name].push_back(hold);
    }
    return groups;
}

std::string title(const Hold& hold) {
    return hold.name + ", token " + std::to_string(hold.token);
}

std::string ms(Time::duration duration) {
    return std::to_string(std::chrono::duration_cast<History::Duration>(duration).count()) + " ms";
}

// O(n * holds at the same time).
void find_overlaps(Holds holds, Problems& problems) {
    std::sort(holds.begin(), holds.end(), [](const Hold& a, const Hold& b) {
        return a.granted < b.granted;
    });
    std::vector<const Hold*> current;
    for (const Hold& hold : holds) {
        if (hold.ended <= hold.granted) {
            continue;  // nothing was ever believed
        }
        std::erase_if(current, [&](const Hold* one) { return one->ended <= hold.granted; });
        unsigned permits = hold.permits;
        for (const Hold* one : current) {
            permits += one->permits;
            if (hold.excludes(*one)) {
                problems.push_back("overlap on " + title(*one) + " and " +
                                   std::to_string(hold.token) + " by " +
                                   ms(one->ended - hold.granted));
            }
        }
        if (hold.limit > 0 && permits > hold.limit) {
            problems.push_back("overlap of " + std::to_string(permits) + " permits on " +
                               title(hold));
        }
        current.push_back(&hold);
    }
}

void find_disorder(Holds holds, Problems& problems) {
    std::sort(
        holds.begin(), holds.end(), [](const Hold& a, const Hold& b) { return a.token < b.token; });
    auto latest_ask = Time::min();
    const Hold* of = nullptr;
    for (std::size_t i = 0; i < holds.size(); ++i) {
        const Hold& hold = holds[i];
        if (i > 0 && hold.token == holds[i - 1].token) {
            problems.push_back("repeated token on " + title(hold));
        }
        // Every lower token was asked for before this one was granted, or the order is wrong.
        if (latest_ask > hold.granted) {
            problems.push_back("order on " + hold.name + ": " + std::to_string(of->token) +
                               " was asked for after " + std::to_string(hold.token) +
                               " had been granted");
        }
        if (hold.asked > latest_ask) {
            latest_ask = hold.asked;
            of = &hold;
        }
    }
}

}  // namespace

bool Hold::excludes(const Hold& other) const {
    return mode != other.mode || exclusive();
}

bool Hold::exclusive() const {
    return mode == v1::MODE_UNSPECIFIED || mode == v1::MODE_EXCLUSIVE;
}

void History::add(Hold hold) {
    const std::lock_guard lock{mutex_};
    holds_.push_back(std::move(hold));
}

void History::add(Wait wait) {
    const std::lock_guard lock{mutex_};
    waits_.push_back(std::move(wait));
}

void History::add(Pause pause) {
    const std::lock_guard lock{mutex_};
    pauses_.push_back(pause);
}

void History::copy_to(History& other) const {
    for (const Hold& hold : holds_) {
        other.add(hold);
    }
    for (const Wait& wait : waits_) {
        other.add(wait);
    }
    for (const Pause& pause : pauses_) {
        other.add(pause);
    }
}

Problems History::problems() const {
    Problems problems;
    for (const auto& [name, holds] : by_name(holds_)) {
        find_overlaps(holds, problems);
        find_disorder(holds, problems);
    }
    return problems;
}

Problems History::broken_promises() const {
    Problems problems;
    for (const Hold& hold : holds_) {
        if (hold.denied && *hold.denied < hold.told) {
            problems.push_back("denied " + title(hold) + ", " + ms(hold.told - *hold.denied) +
                               " before its deadline");
        }
        if (hold.token_later != 0 && hold.token_later != hold.token) {
            problems.push_back("another token " + std::to_string(hold.token_later) + " for " +
                               title(hold));
        }
    }
    return problems;
}

Problems History::late_losses(Duration slack) const {
    Problems problems;
    for (const auto& [name, holds] : by_name(holds_)) {
        for (const Hold& hold : holds) {
            if (!hold.listens) {
                continue;
            }
            if (!hold.lost) {
                if (hold.ended >= hold.told) {
                    problems.push_back("never told of the loss of " + title(hold));
                }
                continue;
            }
            if (*hold.lost > hold.told + slack) {
                problems.push_back("told of the loss of " + title(hold) + " " +
                                   ms(*hold.lost - hold.told) + " after the deadline");
            }
            for (const Hold& next : holds) {
                if (next.token > hold.token && next.excludes(hold) && next.granted < *hold.lost) {
                    problems.push_back("told of the loss of " + title(hold) + " after " +
                                       std::to_string(next.token) + " had been granted");
                }
            }
        }
    }
    return problems;
}

Problems History::late_answers(Duration most) const {
    Problems problems;
    for (const Wait& wait : waits_) {
        Time until = wait.until;
        for (const Pause& pause : pauses_) {
            if (pause.daemon == wait.daemon && pause.from < wait.answered &&
                pause.to > wait.asked) {
                until = std::max(until, pause.to);
            }
        }
        if (wait.answered > until + most) {
            problems.push_back("a wait for " + wait.name + " at daemon " +
                               std::to_string(wait.daemon) + " was answered " +
                               ms(wait.answered - until) + " after its end");
        }
    }
    return problems;
}

Problems History::idle_locks(Duration most) const {
    Problems problems;
    for (auto& [name, holds] : by_name(holds_)) {
        Holds sorted = holds;
        std::sort(sorted.begin(), sorted.end(), [](const Hold& a, const Hold& b) {
            return a.token < b.token;
        });
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            if (!sorted[i].freed || !sorted[i].exclusive()) {
                continue;
            }
            const Time end = i + 1 < sorted.size() ? sorted[i + 1].granted : Time::max();
            for (const Wait& wait : waits_) {
                const Time from = std::max(wait.asked, *sorted[i].freed);
                const Time to = std::min(wait.answered, end);
                if (wait.name == name && to > from + most) {
                    problems.push_back("nobody was given " + name + " for " + ms(to - from) +
                                       " after token " + std::to_string(sorted[i].token));
                    break;
                }
            }
        }
    }
    return problems;
}

Problems History::overtakings(Duration tolerance) const {
    Problems problems;
    for (const auto& [name, holds] : by_name(holds_)) {
        for (const Hold& first : holds) {
            for (const Hold& second : holds) {
                if (first.queued && *first.queued + tolerance < second.asked &&
                    first.token > second.token && first.excludes(second)) {
                    problems.push_back(title(second) + " overtook " + std::to_string(first.token) +
                                       ", which had come " + ms(second.asked - *first.queued) +
                                       " earlier");
                }
            }
        }
    }
    return problems;
}

}  // namespace holdfast::e2e
