#include "store/replication.hpp"

#include "store/lua_scripts.hpp"
#include "store/script_runner.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::store {
namespace {

using core::Milliseconds;

// For the way of WAIT's answer, on top of its own timeout.
constexpr Milliseconds kAnswerMargin{1000};
constexpr char kOtherPrimary[] = "the primary has changed meanwhile";

// The part of an incarnation that the beacon compares: behind the run_id.
std::string_view without_run_id(std::string_view incarnation) {
    const auto colon = incarnation.find(':');
    return colon == std::string_view::npos ? std::string_view{} : incarnation.substr(colon + 1);
}

// It is sent each time.
std::string without_comments(std::string_view script) {
    std::string code;
    while (!script.empty()) {
        const std::string_view line = script.substr(0, script.find('\n') + 1);
        code += line.starts_with("--") ? std::string_view{} : line;
        script.remove_prefix(line.empty() ? script.size() : line.size());
    }
    return code;
}

}  // namespace

struct Replication::Lane {
    Lane(Line to, core::TimerQueue& timers)
        : line(std::move(to)), runner(line.client), patience(timers) {}

    Line line;
    ScriptRunner runner;  // for what its errors mean
    bool started = false;
    std::string server;  // the incarnation that the connection leads to; empty: it is down
    std::vector<Entry> pending;
    std::vector<Entry> under_way;
    bool busy = false;
    core::Timer patience;  // of the first that is pending
};

Replication::Counters& Replication::Counters::operator+=(const Counters& other) {
    waits += other.waits;
    asked += other.asked;
    too_few += other.too_few;
    waited += other.waited;
    return *this;
}

Replication::Replication(const core::Clock& clock,
                         core::TimerQueue& timers,
                         std::array<Line, kLanes> lines,
                         Options options)
    : clock_(clock), options_(std::move(options)), beacon_(without_comments(kLua_beacon)) {
    for (std::size_t i = 0; i < kLanes; ++i) {
        lanes_[i] = std::make_unique<Lane>(std::move(lines[i]), timers);
    }
}

Replication::~Replication() = default;

std::string Replication::key_for(const std::string& prefix) {
    constexpr char kMark = '\x01';  // in no lock's key, whatever the prefix
    return std::string{"holdfast:"} + kMark + "beacon:" + prefix;
}

void Replication::on_line(std::size_t lane, const redis::ServerInfo* server) {
    lanes_[lane]->server = server != nullptr ? server->incarnation : std::string{};
    go_on(*lanes_[lane]);
}

void Replication::await(std::size_t replicas, std::string incarnation, Done done) {
    Lane& lane = *lanes_[replicas > options_.usual ? 1 : 0];
    ++counters_.asked;
    lane.pending.push_back(
        {replicas, std::move(incarnation), clock_.now() + options_.timeout, std::move(done)});
    if (!std::exchange(lane.started, true)) {
        lane.line.start();
    }
    go_on(lane);
}

void Replication::go_on(Lane& lane) {
    if (!lane.busy && !lane.pending.empty() && !lane.server.empty()) {
        send(lane);
    }
    if (lane.pending.empty() || lane.busy) {
        lane.patience.cancel();  // what is under way ends by itself, and the next goes then
    } else if (!lane.patience.is_set()) {
        lane.patience.set(lane.pending.front().until, [this, &lane] { on_patience_over(lane); });
    }
}

// A beacon and its WAIT.
struct Replication::Sending {
    std::string server;  // the incarnation that they went to
    core::Instant sent_at;
    std::string failed = "the beacon was not written";  // why; empty: it was
};

// Both commands go in one write, one behind the other on the same connection. If the first is not
// executed, what the second counts means nothing.
void Replication::send(Lane& lane) {
    lane.busy = true;
    lane.under_way = std::exchange(lane.pending, {});
    const auto needs_most = std::max_element(
        lane.under_way.begin(), lane.under_way.end(), [](const Entry& a, const Entry& b) {
            return a.replicas < b.replicas;
        });
    ++counters_.waits;
    const auto sending = std::make_shared<Sending>(Sending{lane.server, clock_.now()});
    const Milliseconds patience = options_.timeout + kAnswerMargin;
    lane.runner.command({"EVAL", beacon_, "1", options_.key, without_run_id(lane.server)},
                        patience,
                        [sending](const core::StoreResult<redis::Reply>& reply) {
                            if (!reply) {
                                sending->failed = reply.error().message;
                            } else if (reply->value().integer() == 1) {
                                sending->failed.clear();
                            } else {
                                sending->failed = kOtherPrimary;
                            }
                        });
    lane.runner.command(
        {"WAIT", std::to_string(needs_most->replicas), std::to_string(options_.timeout.count())},
        patience,
        [this, &lane, sending](const core::StoreResult<redis::Reply>& reply) {
            if (sending->failed == kOtherPrimary) {
                options_.on_other();
            }
            if (!reply) {
                on_answer(lane, *sending, {0, reply.error().message});
            } else if (!sending->failed.empty()) {
                on_answer(lane, *sending, {0, sending->failed});
            } else {
                const auto count = std::max<std::int64_t>(reply->value().integer(), 0);
                on_answer(lane, *sending, {static_cast<std::size_t>(count), ""});
            }
        });
}

void Replication::on_answer(Lane& lane, const Sending& sending, const Acks& acks) {
    counters_.waited += clock_.now() - sending.sent_at;
    lane.busy = false;
    std::vector<Entry> entries = std::exchange(lane.under_way, {});
    go_on(lane);  // first: what comes next need not wait for what is made of this
    finish(std::move(entries), sending.server, acks);
}

void Replication::on_patience_over(Lane& lane) {
    const core::Instant now = clock_.now();
    const auto first_left = std::find_if(lane.pending.begin(),
                                         lane.pending.end(),
                                         [&](const Entry& entry) { return entry.until > now; });
    std::vector<Entry> over{std::make_move_iterator(lane.pending.begin()),
                            std::make_move_iterator(first_left)};
    lane.pending.erase(lane.pending.begin(), first_left);
    go_on(lane);
    finish(std::move(over), {}, {0, "there is no connection to ask for replicas by"});
}

// `incarnation`: whose acknowledgements these are; empty: nobody's.
void Replication::finish(std::vector<Entry> entries,
                         const std::string& incarnation,
                         const Acks& acks) {
    const Acks none{0, kOtherPrimary};
    for (Entry& entry : entries) {
        const bool counts = incarnation.empty() || entry.incarnation == incarnation;
        const Acks& its = counts ? acks : none;
        counters_.too_few += its.count < entry.replicas ? 1 : 0;
        entry.done(its);
    }
}

}  // namespace holdfast::store
