#include "daemon/quorum_site.hpp"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace holdfast::daemon {
namespace {

using Level = Condition::Level;
using State = store::QuorumNodes::State;

constexpr core::Milliseconds kInterval{1000};

store::QuorumSize size_of(const StoreSite::Base& base) {
    store::QuorumSize size;
    size.nodes = base.where.quorum.size();
    size.required = base.settings.store.quorum > 0 ? base.settings.store.quorum : size.majority();
    return size;
}

std::vector<redis::Settings> nodes_of(const redis::Settings& where) {
    std::vector<redis::Settings> nodes;
    for (std::size_t node = 0; node < where.quorum.size(); ++node) {
        nodes.push_back(redis::node_of(where, node));
    }
    return nodes;
}

store::QuorumLockStore::Options options_of(const StoreSite::Base& base,
                                           store::QuorumSize size,
                                           const std::vector<redis::Settings>& nodes) {
    store::QuorumLockStore::Options options;
    options.station = base.station;
    options.seed = base.where.seed;
    options.nodes.size = size;
    options.nodes.prefix = base.settings.store.prefix;
    options.nodes.max_ttl = base.settings.limits.max_ttl;
    options.nodes.assume_new = base.settings.store.assume_new;
    for (const redis::Settings& node : nodes) {
        options.nodes.names.push_back(node.address());
    }
    return options;
}

}  // namespace

QuorumSite::QuorumSite(const Base& base, Listener listener)
    : listener_(std::move(listener)),
      clock_(base.clock),
      timeout_(base.settings.store.command_timeout),
      checks_(base.checks),
      size_(size_of(base)),
      where_(nodes_of(base.where)),
      clients_(make_pools(base)),
      client_(clients_),
      store_(clients_, base.clock, base.timers, ids_, options_of(base, size_, where_)),
      found_(where_.size()),
      timer_(base.timers) {
    store_.nodes().on_clock_set([this](std::size_t node, std::chrono::microseconds by) {
        listener_.on_news(absl::StrFormat("store: the clock of %s was set %s by %.3f s or more",
                                          store_.nodes().name(node),
                                          by.count() > 0 ? "forward" : "back",
                                          std::abs(std::chrono::duration<double>(by).count())),
                          true);
    });
    make_preflights(base);
}

std::vector<redis::Client*> QuorumSite::make_pools(const Base& base) {
    std::vector<redis::Client*> clients;
    for (std::size_t node = 0; node < where_.size(); ++node) {
        pools_.push_back(std::make_unique<redis::Pool>(
            base.context, where_[node], [this, node](const auto* server) {
                on_link(node, server);
            }));
        clients.push_back(pools_.back().get());
    }
    return clients;
}

void QuorumSite::make_preflights(const Base& base) {
    for (std::size_t node = 0; node < where_.size(); ++node) {
        CheckOptions options = check_options(base);
        options.expects_persistence = false;  // what a node forgets, the others know
        preflights_.push_back(
            std::make_unique<Preflight>(*pools_[node],
                                        base.clock,
                                        base.timers,
                                        base.logger,
                                        options,
                                        timeout_,
                                        [this, node](const std::vector<Check>& found) {
                                            found_[node] = found;
                                            report_checks();
                                        }));
    }
}

void QuorumSite::start() {
    for (const auto& pool : pools_) {
        pool->start();
    }
    timer_.set(clock_.now() + kInterval, [this] { look(); });
}

void QuorumSite::stop() {
    for (const auto& pool : pools_) {
        pool->stop();
    }
}

void QuorumSite::authenticate_anew(const std::function<void(std::string_view error)>& refused) {
    for (const auto& pool : pools_) {
        pool->authenticate_anew(refused);
    }
}

redis::Pool::Status QuorumSite::status() const {
    redis::Pool::Status total;
    for (const auto& pool : pools_) {
        total += pool->status();
    }
    return total;
}

void QuorumSite::on_link(std::size_t node, const redis::ServerInfo* server) {
    if (server != nullptr) {
        store_.nodes().connected_to(node, *server);
        listener_.on_up();
        if (checks_) {
            preflights_[node]->look();
        }
    }
    store_.nodes().look(timeout_, [this] { report(); });
}

void QuorumSite::look() {
    timer_.set(clock_.now() + kInterval, [this] { look(); });
    report();  // what is known already: a look lasts until the last node has answered, or not in time
    store_.nodes().look(timeout_, [this] { report(); });
}

void QuorumSite::report() {
    listener_.report(judge());
    report_checks();
}

Condition QuorumSite::judge() const {
    const store::QuorumNodes& nodes = store_.nodes();
    if (const std::size_t others = nodes.foreign(); others > 0) {
        return foreign(others);
    }
    return nodes.taking_part() >= size_.required ? Condition{} : too_few();
}

Condition QuorumSite::foreign(std::size_t others) const {
    const store::QuorumNodes& nodes = store_.nodes();
    std::string why;
    for (std::size_t node = 0; node < where_.size(); ++node) {
        if (nodes.status(node).state == State::foreign) {
            why += (why.empty() ? "" : "; ") + nodes.name(node) + " belongs to other daemons' " +
                   nodes.status(node).why;
        }
    }
    return {others >= size_.majority() ? Level::misconfigured : Level::unfit,
            why +
                ": store.url must name the same nodes in the same words at all daemons, and "
                "store.quorum and limits.max_ttl must be the same; or stop all daemons, wait "
                "limits.max_ttl, then redis-cli DEL \"" +
                nodes.printable_key() + "\" at each node, and start them"};
}

// Not ready: what each of the others is waiting for.
Condition QuorumSite::too_few() const {
    const store::QuorumNodes& nodes = store_.nodes();
    std::size_t coming = 0;
    std::string why;
    for (std::size_t node = 0; node < where_.size(); ++node) {
        const State state = nodes.status(node).state;
        // One that is empty has not begun a memory: another daemon may still be first, with other nodes.
        coming +=
            state == State::part || state == State::waiting || state == State::syncing ? 1 : 0;
        if (state != State::part) {
            why += "; " + nodes.name(node) + ": " + why_not(node);
        }
    }
    return {coming >= size_.required ? Level::closed : Level::down,
            std::to_string(nodes.taking_part()) + " of the " + std::to_string(size_.nodes) +
                " nodes take part, " + std::to_string(size_.required) + " are needed" + why};
}

std::string QuorumSite::why_not(std::size_t node) const {
    const auto& status = store_.nodes().status(node);
    switch (status.state) {
        case State::part:
            return {};
        case State::waiting:
            return !status.why.empty() ? status.why
                                       : "it is empty or has been restarted, and takes part again "
                                         "when every lease that "
                                         "could exist has ended; if all nodes are new, start with "
                                         "--assume-new-store";
        case State::syncing:
            return "it is to learn from the others where tokens have got to, and " +
                   std::to_string(size_.majority()) + " of them have to answer";
        case State::empty:
            return "it is empty";
        case State::foreign:
            return "it belongs to others";
        case State::down:
            break;
    }
    const std::string connecting = pools_[node]->status().last_error;
    return connecting.empty() ? status.why : connecting;
}

// What Redis says of itself at each node, and which nodes take no part.
void QuorumSite::report_checks() {
    if (!checks_) {
        return;
    }
    std::vector<Check> all;
    for (std::size_t node = 0; node < where_.size(); ++node) {
        const std::string name = where_[node].address() + ": ";
        for (const Check& check : found_[node]) {
            const auto same = std::find_if(all.begin(), all.end(), [&check](const Check& other) {
                return other.name == check.name;
            });
            Check named = check;
            named.text = check.text.empty() ? "" : name + check.text;
            if (same == all.end()) {
                all.push_back(std::move(named));
            } else if (named.severity > same->severity) {
                *same = std::move(named);
            }
        }
    }
    if (all.empty()) {
        return;  // none has answered yet
    }
    Check nodes{"nodes", Severity::fine, ""};
    for (std::size_t node = 0; node < where_.size(); ++node) {
        if (store_.nodes().status(node).state != State::part) {
            nodes.severity = Severity::warning;
            nodes.text += (nodes.text.empty() ? "" : "; ") + where_[node].address() +
                          " takes no part: " + why_not(node);
        }
    }
    all.push_back(std::move(nodes));
    if (all != said_) {
        said_ = all;
        listener_.report_checks(all);
    }
}

}  // namespace holdfast::daemon
