// QuorumLockStore: what becomes of leases that are held: renewed, and put at nodes that do not have them.

#include "store/letters.hpp"
#include "store/quorum_attempt.hpp"
#include "store/replies.hpp"

#include <algorithm>

namespace holdfast::store {
namespace {

using core::Milliseconds;

// Repairs under way: they are never urgent.
constexpr std::size_t kMostRepairing = 512;
constexpr std::size_t kPerLease = 3;  // elements of a reply

Renewal::Kind kind_of(std::int64_t code) {
    constexpr std::int64_t kForgotten = 8;
    constexpr Renewal::Kind kKinds[] = {Renewal::Kind::lacking,
                                        Renewal::Kind::renewed,
                                        Renewal::Kind::taken,
                                        Renewal::Kind::closed,
                                        Renewal::Kind::released,
                                        Renewal::Kind::conflict};
    if (code == kForgotten) {
        return Renewal::Kind::forgotten;
    }
    return code >= 0 && code < static_cast<std::int64_t>(std::size(kKinds)) ? kKinds[code]
                                                                            : Renewal::Kind::absent;
}

core::RenewAnswer answer_of(const Renewal& renewal, const std::string& why_none) {
    core::RenewAnswer answer;
    answer.newest = {renewal.highest()};
    if (const auto closes = renewal.closes_in_us(); closes >= 0) {
        answer.closes_in = in_ms(closes);
    }
    switch (renewal.verdict()) {
        case Renewal::Verdict::renewed:
            answer.renewed = true;
            break;
        case Renewal::Verdict::closed:
            answer.revoked = true;
            break;
        case Renewal::Verdict::released:
            answer.released = true;
            break;
        case Renewal::Verdict::open:
        case Renewal::Verdict::unanswered:
            answer.failure = why_none;
            break;
        case Renewal::Verdict::lost:
            break;
    }
    return answer;
}

}  // namespace

// One round of renewals.
struct QuorumLockStore::Round {
    std::vector<core::RenewCommand> commands;
    std::vector<Renewal> renewals;
    core::Instant sent_at{};
    Milliseconds timeout{};
    std::size_t missing = 0;
    core::StoreDone<std::vector<core::RenewAnswer>> done;
};

void QuorumLockStore::renew(std::span<const core::RenewCommand> commands,
                            Milliseconds timeout,
                            core::StoreDone<std::vector<core::RenewAnswer>> done) {
    renew_round({commands.begin(), commands.end()}, {}, timeout, std::move(done));
}

void QuorumLockStore::adopt(const core::Lease& lease,
                            core::Ttl ttl,
                            std::string_view from,
                            Milliseconds timeout,
                            core::StoreDone<core::RenewAnswer> done) {
    renew_round({{lease, ttl}},
                std::string{from},
                timeout,
                [done = std::move(done)](
                    core::StoreResult<std::vector<core::RenewAnswer>> answers) mutable {
                    if (answers) {
                        done(answers->front());
                    } else {
                        done(tl::unexpected(answers.error()));
                    }
                });
}

void QuorumLockStore::renew_round(std::vector<core::RenewCommand> commands,
                                  std::optional<std::string> adopt_from,
                                  Milliseconds timeout,
                                  core::StoreDone<std::vector<core::RenewAnswer>> done) {
    auto round = std::make_shared<Round>();
    round->commands = std::move(commands);
    round->renewals.assign(round->commands.size(), Renewal{nodes_.size(), adopt_from.has_value()});
    round->sent_at = clock_.now();
    round->timeout = timeout;
    round->missing = nodes_.size().nodes;
    round->done = std::move(done);
    std::vector<std::string> texts;
    std::vector<std::string> keys;
    for (const auto& [lease, ttl, held] : round->commands) {
        keys.push_back(key_of(lease.name));
        texts.emplace_back(lease.holder.view());
        texts.push_back(std::to_string(lease.token.value));
        texts.push_back(in_us(core::store_hold(ttl)));
        texts.emplace_back(adopt_from ? "1" : "");
        texts.push_back(adopt_from.value_or(""));
    }
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        ScriptRunner::Call call{renew_,
                                affinity_of(round->commands.front().lease.name),
                                {keys.begin(), keys.end()},
                                {nodes_.known(node), station_},
                                timeout};
        call.keys.push_back(nodes_.key());
        call.arguments.insert(call.arguments.end(), texts.begin(), texts.end());
        nodes_.runner(node).run(call, [this, round, node](const Reply& reply) {
            nodes_.heard(node, reply.has_value(), clock_.now() - round->sent_at);
            if (reply) {
                const bool takes_part = reply->value()[0].integer() != -1;
                nodes_.learn_time(node, reply->value()[takes_part ? 0 : 1], round->sent_at);
            }
            on_renewals(round, node, reply);
        });
    }
}

void QuorumLockStore::on_renewals(const std::shared_ptr<Round>& round,
                                  std::size_t node,
                                  const Reply& reply) {
    const std::size_t count = round->commands.size();
    const bool whole = reply && reply->value().size() == 1 + kPerLease * count;
    if (reply && reply->value()[0].integer() == -1) {
        nodes_.refused(node);
    }
    for (std::size_t i = 0; i < count; ++i) {
        Renewal::Answer answer;
        if (whole) {
            const redis::Value& said = reply->value();
            const std::size_t at = 1 + kPerLease * i;
            answer = {kind_of(said[at].integer()),
                      static_cast<std::uint64_t>(std::max<std::int64_t>(0, said[at + 1].integer())),
                      said[at + 2].integer()};
        }
        round->renewals[i].answer(node, answer);
    }
    --round->missing;
    const bool open =
        std::any_of(round->renewals.begin(), round->renewals.end(), [](const Renewal& renewal) {
            return renewal.verdict() == Renewal::Verdict::open;
        });
    if (round->done && (round->missing == 0 || !open)) {
        auto done = std::exchange(round->done, nullptr);
        std::vector<core::RenewAnswer> answers;
        std::transform(round->renewals.begin(),
                       round->renewals.end(),
                       std::back_inserter(answers),
                       [why = too_few(true).message](const Renewal& renewal) {
                           return answer_of(renewal, why);
                       });
        const bool any = std::any_of(answers.begin(), answers.end(), [](const auto& answer) {
            return answer.failure.empty();
        });
        any ? done(std::move(answers)) : done(tl::unexpected(too_few(true)));
    }
    if (round->missing == 0) {
        repair(round);
    }
}

// Leases that stand, at nodes that do not have them. They count there from the next round on.
void QuorumLockStore::repair(const std::shared_ptr<Round>& round) {
    std::vector<std::vector<std::size_t>> from(nodes_.size().nodes);
    for (std::size_t i = 0; i < round->commands.size(); ++i) {
        const Renewal& renewal = round->renewals[i];
        const auto verdict = renewal.verdict();
        const bool stands = verdict == Renewal::Verdict::renewed ||
                            (verdict == Renewal::Verdict::unanswered && round->commands[i].held);
        std::optional<std::size_t> good;
        bool wanted = false;
        for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
            if (renewal.at(node)->kind == Renewal::Kind::renewed) {
                good = node;
            }
            wanted = wanted || renewal.repairable(node, round->commands[i].lease.token.value);
        }
        if (stands && wanted && good && repairing_ < kMostRepairing) {
            ++repairing_;
            from[*good].push_back(i);
        }
    }
    for (std::size_t node = 0; node < from.size(); ++node) {
        if (!from[node].empty()) {
            copy(round, node, from[node]);
        }
    }
}

// Reads the records where they are whole.
void QuorumLockStore::copy(const std::shared_ptr<Round>& round,
                           std::size_t from,
                           const std::vector<std::size_t>& which) {
    std::vector<std::string> keys;
    for (const std::size_t i : which) {
        keys.push_back(key_of(round->commands[i].lease.name));
    }
    nodes_.runner(from).run({read_,
                             affinity_of(round->commands[which.front()].lease.name),
                             {keys.begin(), keys.end()},
                             {},
                             round->timeout,
                             true},
                            [this, round, which](const Reply& reply) {
                                repairing_ -= which.size();
                                for (std::size_t at = 0; reply && at < which.size(); ++at) {
                                    send_repair(*round, which[at], reply->value()[1 + at]);
                                }
                            });
}

void QuorumLockStore::send_repair(const Round& round,
                                  std::size_t which,
                                  const redis::Value& copied) {
    constexpr std::size_t kWhole = 11;
    const auto& [lease, ttl, held] = round.commands[which];
    if (copied.size() != kWhole || copied[8].text() != lease.holder.view() ||
        copied[2].integer() != static_cast<std::int64_t>(lease.token.value)) {
        return;  // it has ended meanwhile
    }
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        const Renewal& renewal = round.renewals[which];
        if (!renewal.repairable(node, lease.token.value)) {
            continue;
        }
        // Fences of others are good for it only if they were read since it takes part.
        // Of those who tell of a revocation, and of the one that is copied.
        const std::int64_t copied_closes = copied[6].integer();
        const std::int64_t told_closes = renewal.closes_in_us();
        const std::int64_t closes = copied_closes > 0 && told_closes >= 0
                                        ? std::min(copied_closes, told_closes)
                                        : std::max(copied_closes, told_closes);
        const auto fence =
            round.sent_at >= nodes_.part_since(node) ? renewal.fence_of_others(node) : std::nullopt;
        const Arguments arguments{{"",
                                   std::string{lease.holder.view()},
                                   std::to_string(lease.token.value),
                                   std::string{ids_.next().view()},
                                   in_us(core::store_hold(ttl)),
                                   fence ? std::to_string(*fence) : std::string{},
                                   std::to_string(copied[4].integer()),
                                   std::to_string(copied[5].integer()),
                                   std::to_string(std::max<std::int64_t>(0, closes)),
                                   std::string{copied[7].text()},
                                   std::string{copied[9].text()},
                                   std::string{copied[10].text()}},
                                  0};
        ask(node, repair_, lease.name, arguments, round.timeout, true, [this](const Reply& reply) {
            counters_.repairs += reply && reply->value()[0].integer() == 1 ? 1 : 0;
        });
    }
}

}  // namespace holdfast::store
