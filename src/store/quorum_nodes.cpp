#include "store/quorum_nodes.hpp"

#include "store/lua_scripts.hpp"
#include "store/replies.hpp"

#include <absl/strings/str_join.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast::store {
namespace {

// In no lock's key, whatever the prefix.
constexpr char kMark = '\x01';
constexpr core::Milliseconds kLookTimeout{1000};
// So long are all nodes waited for, before those without a memory count as having lost it.
constexpr std::chrono::seconds kWaitForAll{3};
// A node that is well may be held up by a fork, or by others' commands.
constexpr core::Milliseconds kLeastPatience{10};
// Then it goes on with the next look.
constexpr unsigned kMostRoundsInARow = 5;

constexpr const char* kSetForward =
    "its clock was set forward, so its locks may have been freed too early; it grants nothing "
    "until "
    "every lease that could exist has ended";

// What scripts never find: a memory that no node has.
const std::string kNothingKnown(16, '-');

}  // namespace

// One look at all nodes.
struct QuorumNodes::Round {
    std::size_t missing = 0;
    bool may_begin = false;  // a memory where there is none
    bool all_new = false;
    bool by_clock = false;
    std::vector<std::optional<std::uint64_t>> floor;  // of each that is to take part
    core::Milliseconds timeout{};
};

QuorumNodes::QuorumNodes(const std::vector<redis::Client*>& clients,
                         const core::Clock& clock,
                         core::HolderIdSource& ids,
                         Options options)
    : clock_(clock),
      ids_(ids),
      options_(std::move(options)),
      key_(std::string{"holdfast:"} + kMark + "quorum:" + options_.prefix),
      longest_(std::to_string(
          std::chrono::ceil<std::chrono::microseconds>(core::store_hold(options_.max_ttl))
              .count())),
      script_(kLua_quorum_node),
      is_settled_(!options_.assume_new) {
    std::vector<std::string> sorted = options_.names;
    std::sort(sorted.begin(), sorted.end());
    agreement_ = absl::StrJoin(sorted, " ") + ", " + std::to_string(options_.size.required) +
                 " of " + std::to_string(options_.size.nodes) + ", max_ttl " +
                 std::to_string(options_.max_ttl.value.count()) + " ms";
    for (redis::Client* client : clients) {
        nodes_.push_back(std::make_unique<Node>(*client));
        nodes_.back()->known = kNothingKnown;
        nodes_.back()->status.why = "not asked yet";
    }
}

std::string QuorumNodes::printable_key() const {
    std::string printable = key_;
    printable.replace(printable.find(kMark), 1, "\\x01");
    return printable;
}

std::size_t QuorumNodes::count(State state) const {
    return static_cast<std::size_t>(
        std::count_if(nodes_.begin(), nodes_.end(), [state](const auto& node) {
            return node->status.state == state;
        }));
}

std::size_t QuorumNodes::taking_part() const {
    return count(State::part);
}

std::size_t QuorumNodes::foreign() const {
    return count(State::foreign);
}

void QuorumNodes::connected_to(std::size_t node, const redis::ServerInfo& server) {
    Node& one = *nodes_[node];
    if (one.incarnation != server.incarnation) {
        one.incarnation = server.incarnation;
        one.memory.clear();
        one.known = kNothingKnown;
        one.part_since = core::kNever;
        one.status = {State::down, {}, "not asked yet"};
        one.clock_steps = {};
    }
    look(kLookTimeout, [] {});
}

void QuorumNodes::refused(std::size_t node) {
    if (nodes_[node]->status.state == State::part) {
        nodes_[node]->status = {State::down, {}, "it has lost its memory"};
        nodes_[node]->part_since = core::kNever;
        look(kLookTimeout, [] {});
    }
}

void QuorumNodes::heard(std::size_t node, bool answered, core::Duration took) {
    Node& one = *nodes_[node];
    one.failures = answered ? 0 : one.failures + 1;
    if (answered) {
        one.latency += one.latency > core::Duration{0} ? (took - one.latency) / 8 : took;
    }
}

// Nobody shall wait for it again, until some answers have shown that it is as quick as the others.
void QuorumNodes::is_late(std::size_t node, core::Duration waited) {
    Node& one = *nodes_[node];
    one.latency = std::max(one.latency, 2 * waited);
}

bool QuorumNodes::answers(std::size_t node) const {
    return nodes_[node]->status.state == State::part && nodes_[node]->failures == 0;
}

core::Duration QuorumNodes::patience() const {
    std::vector<core::Duration> latencies;
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
        if (answers(node)) {
            latencies.push_back(nodes_[node]->latency);
        }
    }
    if (latencies.empty()) {
        return kLeastPatience;
    }
    std::sort(latencies.begin(), latencies.end());
    const std::size_t last = std::min(latencies.size(), options_.size.required) - 1;
    return std::max<core::Duration>(4 * latencies[last], kLeastPatience);
}

bool QuorumNodes::is_slow(std::size_t node) const {
    return nodes_[node]->failures > 0 || nodes_[node]->latency > patience();
}

void QuorumNodes::learn_time(std::size_t node, const redis::Value& time, core::Instant sent_at) {
    if (!time.is_integer()) {
        return;
    }
    Node& one = *nodes_[node];
    const auto step =
        one.clock_steps.learn(std::chrono::microseconds{time.integer()}, sent_at, clock_.now());
    if (!step) {
        return;
    }
    clock_set_.count(*step);
    const bool beyond_guard = *step > options_.clock_guard;
    if (beyond_guard) {
        one.is_doubted = true;
        one.status = {State::waiting, {}, kSetForward};
        one.part_since = core::kNever;
        look(kLookTimeout, [] {});
    }
    if (clock_set_listener_) {
        clock_set_listener_(node, *step);
    }
}

std::size_t QuorumNodes::first_to_ask() const {
    for (const bool trusting : {false, true}) {
        for (std::size_t node = 0; node < nodes_.size(); ++node) {
            if (nodes_[node]->status.state == State::part && (trusting || !is_slow(node))) {
                return node;
            }
        }
    }
    return 0;
}

void QuorumNodes::look(core::Milliseconds timeout, std::function<void()> done) {
    waiting_.push_back(std::move(done));
    if (looking_) {
        again_ = true;  // what is under way may be older than what made us look
        return;
    }
    in_a_row_ = 0;
    start_round(timeout);
}

void QuorumNodes::start_round(core::Milliseconds timeout) {
    looking_ = true;
    first_look_ = std::min(first_look_, clock_.now());
    ++in_a_row_;
    auto round = std::make_shared<Round>();
    round->timeout = timeout;
    round->missing = nodes_.size();
    plan(*round);
    for (auto& node : nodes_) {
        node->was_syncing = node->status.state == State::syncing;
        node->answered = false;
    }
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
        ask(round, node);
    }
}

// What the nodes are to do, by what they said in the round before.
void QuorumNodes::plan(Round& round) {
    if (!is_settled_) {
        // Nothing begins before it is known whether any node has a memory.
        round.all_new = count(State::empty) == nodes_.size();
        const std::size_t with_memory = nodes_.size() - count(State::empty) - count(State::down);
        is_settled_ = round.all_new || with_memory > 0 || clock_.now() - first_look_ > kWaitForAll;
    }
    round.may_begin = is_settled_;
    round.by_clock = taking_part() < options_.size.majority();
    round.floor.resize(nodes_.size());
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
        // The others' fences are from an answer to what left when this one was syncing already.
        std::size_t others = 0;
        std::uint64_t floor = 0;
        for (std::size_t other = 0; other < nodes_.size(); ++other) {
            const Node& one = *nodes_[other];
            const bool counts = one.status.state == State::part ||
                                (round.by_clock && one.status.state == State::syncing);
            if (other != node && counts && one.answered) {
                ++others;
                floor = std::max(floor, one.highest);
            }
        }
        const Node& one = *nodes_[node];
        if (one.was_syncing && one.status.state == State::syncing &&
            others >= options_.size.majority()) {
            round.floor[node] = floor;
        }
    }
}

void QuorumNodes::ask(const std::shared_ptr<Round>& round, std::size_t node) {
    Node& one = *nodes_[node];
    const core::HolderId name = ids_.next();
    const std::string floor = std::to_string(round->floor[node].value_or(0));
    runner(node).run(
        {script_,
         0,
         {key_},
         {one.incarnation,
          agreement_,
          longest_,
          round->may_begin ? name.view() : std::string_view{},
          round->all_new ? "1" : "",
          round->floor[node] ? std::string_view{one.memory} : std::string_view{},
          floor,
          round->by_clock ? "1" : "",
          one.is_doubted ? "1" : ""},
         round->timeout},
        [this,
         round,
         node,
         asked = one.incarnation,
         doubted = one.is_doubted,
         sent_at = clock_.now()](const core::StoreResult<redis::Reply>& reply) {
            heard(node, reply.has_value(), clock_.now() - sent_at);
            if (nodes_[node]->incarnation == asked) {  // else it is about another Redis
                learn(node, doubted, reply);
                if (reply) {
                    learn_time(node, reply->value()[0], sent_at);
                }
            }
            if (--round->missing == 0) {
                finish(round->timeout);
            }
        });
}

void QuorumNodes::learn(std::size_t node,
                        bool doubted,
                        const core::StoreResult<redis::Reply>& reply) {
    Node& one = *nodes_[node];
    if (!reply || reply->value().size() != 6) {
        one.status = {State::down, {}, reply ? unexpected_reply().message : reply.error().message};
        return;
    }
    const redis::Value& said = reply->value();
    constexpr State kStates[] = {
        State::part, State::waiting, State::syncing, State::foreign, State::empty, State::waiting};
    constexpr std::size_t kDoubted = 5;
    const auto state = static_cast<std::size_t>(said[1].integer());
    if (state >= std::size(kStates)) {
        one.status = {State::down, {}, unexpected_reply().message};
        return;
    }
    one.answered = true;
    one.incarnation = said[5].text();
    one.status = {
        kStates[state],
        std::chrono::ceil<core::Milliseconds>(std::chrono::microseconds{said[2].integer()}),
        state == kDoubted ? kSetForward : ""};
    one.is_doubted = one.is_doubted && !doubted;
    one.highest = static_cast<std::uint64_t>(said[4].integer());
    if (one.status.state == State::foreign) {
        one.status.why = said[3].text();
        one.known = kNothingKnown;
    } else if (one.status.state != State::empty) {
        one.memory = said[3].text();
        one.known = one.memory + one.incarnation;
    }
    if (one.status.state != State::part) {
        one.part_since = core::kNever;
    } else if (one.part_since == core::kNever) {
        one.part_since = clock_.now();
    }
}

void QuorumNodes::finish(core::Milliseconds timeout) {
    const bool unfinished = count(State::empty) > 0 || count(State::syncing) > 0;
    if ((std::exchange(again_, false) || unfinished) && in_a_row_ < kMostRoundsInARow) {
        start_round(timeout);
        return;
    }
    looking_ = false;
    for (const auto& done : std::exchange(waiting_, {})) {
        done();
    }
}

}  // namespace holdfast::store
