#include "rpc/gathered.hpp"

#include "rpc/translate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace holdfast::rpc {
namespace {

using core::PeerAnswer;
using core::PeerAnswers;

// A waiter's place among all: as lua/_queue.lua orders tickets, and as its station orders its own.
using Place = std::tuple<std::int64_t, std::string, std::size_t>;

struct Placed {
    Place place;
    const core::WaiterReport* waiter;
    const std::string* daemon;
};

// Whoever is behind the last one that a station could tell of has a place that is not known.
std::vector<Placed> in_order(const PeerAnswers& gathered) {
    std::vector<Placed> all;
    std::optional<Place> known_up_to;
    for (const PeerAnswers::One& one : gathered.answers) {
        std::size_t index = 0;
        for (const core::WaiterReport& waiter : one.answer.waiters) {
            all.push_back({{waiter.arrival_us, one.station, index++}, &waiter, &one.daemon});
        }
        if (index >= PeerAnswer::kMostWaiters && one.answer.cut) {
            const Place last = all.back().place;
            known_up_to = known_up_to ? std::min(*known_up_to, last) : last;
        }
    }
    std::sort(
        all.begin(), all.end(), [](const Placed& a, const Placed& b) { return a.place < b.place; });
    if (known_up_to) {
        std::erase_if(all, [&](const Placed& one) { return one.place > *known_up_to; });
    }
    return all;
}

void fill_waiters(pb::ExplainResponse& response, const PeerAnswers& gathered) {
    std::uint64_t position = 0;
    for (const Placed& one : in_order(gathered)) {
        pb::Waiter& waiter = *response.add_waiters();
        waiter.set_position(++position);
        waiter.set_owner(one.waiter->owner);
        waiter.set_mode(mode_of(one.waiter->mode));
        waiter.set_priority(one.waiter->priority);
        waiter.set_waiting_for_ms(ms(one.waiter->waiting_for));
        waiter.set_daemon(*one.daemon);
    }
}

void fill_transitions(pb::ExplainResponse& response, const PeerAnswers& gathered) {
    std::vector<std::pair<const core::TransitionReport*, const std::string*>> all;
    std::map<std::uint64_t, std::string> owners;  // by token
    for (const PeerAnswers::One& one : gathered.answers) {
        for (const core::TransitionReport& transition : one.answer.transitions) {
            all.emplace_back(&transition, &one.daemon);
            if (!transition.owner.empty() && transition.token.value != 0) {
                owners.emplace(transition.token.value, transition.owner);
            }
        }
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return a.first->ago < b.first->ago;
    });
    for (const auto& [transition, daemon] : all) {
        pb::Transition& told = *response.add_transitions();
        told.set_ago_ms(ms(transition->ago));
        told.set_what(transition->what);
        const auto owner = owners.find(transition->token.value);
        told.set_owner(owner == owners.end() ? transition->owner : owner->second);
        told.set_fencing_token(transition->token.value);
        told.set_daemon(*daemon);
    }
}

}  // namespace

void fill(pb::ExplainResponse& response, const PeerAnswers& gathered) {
    bool cut = false;
    for (const PeerAnswers::One& one : gathered.answers) {
        cut = cut || one.answer.cut;
    }
    fill_waiters(response, gathered);
    fill_transitions(response, gathered);
    response.set_cut(cut);
    for (const std::string& daemon : gathered.silent) {
        response.add_silent_daemons(daemon);
    }
}

void fill(pb::SessionInfo& session, const core::StreamReport& stream, const std::string& daemon) {
    session.set_peer(stream.peer);
    session.set_daemon(daemon);
    session.set_connected_for_ms(ms(stream.connected_for));
    session.set_leases(stream.leases);
    session.set_waiting(stream.waiting);
}

void fill(pb::ListSessionsResponse& response, const PeerAnswers& gathered) {
    for (const PeerAnswers::One& one : gathered.answers) {
        response.set_cut(response.cut() || one.answer.cut);
        for (const core::StreamReport& stream : one.answer.streams) {
            fill(*response.add_sessions(), stream, one.daemon);
        }
    }
    for (const std::string& daemon : gathered.silent) {
        response.add_silent_daemons(daemon);
    }
}

}  // namespace holdfast::rpc
