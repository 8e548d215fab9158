#include "history.hpp"

#include <algorithm>
#include <map>

namespace holdfast::e2e {
namespace {

using Problems = std::vector<std::string>;

void find_overlaps(std::vector<Hold> holds, Problems& problems) {
    std::sort(holds.begin(), holds.end(), [](const Hold& a, const Hold& b) {
        return a.granted < b.granted;
    });
    const Hold* last = nullptr;  // the one that ends last so far
    for (const Hold& hold : holds) {
        if (last != nullptr && hold.granted < last->ended && hold.granted < hold.ended) {
            problems.push_back("overlap on " + hold.name + ": tokens " +
                               std::to_string(last->token) + " and " + std::to_string(hold.token));
        }
        if (last == nullptr || hold.ended > last->ended) {
            last = &hold;
        }
    }
}

void find_disorder(std::vector<Hold> holds, Problems& problems) {
    std::sort(
        holds.begin(), holds.end(), [](const Hold& a, const Hold& b) { return a.token < b.token; });
    auto latest_ask = Hold::Time::min();
    const Hold* of = nullptr;
    for (std::size_t i = 0; i < holds.size(); ++i) {
        const Hold& hold = holds[i];
        if (i > 0 && hold.token == holds[i - 1].token) {
            problems.push_back("repeated token on " + hold.name + ": " +
                               std::to_string(hold.token));
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

Problems History::problems() const {
    std::map<std::string, std::vector<Hold>> by_name;
    for (const Hold& hold : holds_) {
        by_name[hold.name].push_back(hold);
    }
    Problems problems;
    for (const auto& [name, holds] : by_name) {
        find_overlaps(holds, problems);
        find_disorder(holds, problems);
    }
    return problems;
}

}  // namespace holdfast::e2e
