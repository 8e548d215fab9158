#include "redis/cluster.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kInterval = 1s;
// Between two rounds of asking all.
constexpr std::chrono::milliseconds kEager = 100ms;

// Of a connection to this very address, in whichever role.
Settings settings_at(const Address& address, const Settings& settings) {
    Settings own = settings;
    own.host = address.host;
    own.port = address.port;
    own.cluster.clear();
    own.topology = nullptr;
    return own;
}

}  // namespace

// Leads to one address, as long as a primary is there.
struct Cluster::Node::Place final : Topology {
    Place(Cluster& all, Address where) : cluster(all), address(std::move(where)) {}

    std::optional<Address> primary() const override { return address; }
    std::string why_unknown() const override { return {}; }
    void reached(const Address&) override {}
    void failed(const Address& server) override { cluster.on_failed(server); }

    Cluster& cluster;
    const Address address;
};

struct Cluster::Inbox final : Topology {
    explicit Inbox(Cluster& all) : cluster(all), turn(all.settings_.seed) {}

    std::optional<Address> primary() const override { return chosen; }
    std::string why_unknown() const override { return cluster.why_unknown(); }
    void reached(const Address&) override {}
    void failed(const Address& server) override {
        if (chosen == server) {
            chosen.reset();
            ++turn;
            choose();
        }
    }

    bool is_good(const Address& address) const {
        return std::any_of(cluster.nodes_.begin(), cluster.nodes_.end(), [&](const auto& node) {
            return node->address() == address && node->up();
        });
    }
    // True if it was elsewhere.
    bool choose() {
        if (chosen && is_good(*chosen)) {
            return false;
        }
        std::vector<Address> up;
        for (const auto& node : cluster.nodes_) {
            if (node->up()) {
                up.push_back(node->address());
            }
        }
        if (up.empty()) {
            return false;  // the old one, if any, is as good as another
        }
        chosen = up[turn % up.size()];
        return true;
    }

    Cluster& cluster;
    std::optional<Address> chosen;
    std::size_t turn;
};

Cluster::Node::Node(Cluster& cluster, const Address& where)
    : address_(where),
      pool_(
          cluster.context_,
          [&] {
              Settings own = settings_at(where, cluster.settings_);
              own.topology = std::make_shared<Place>(cluster, where);
              return own;
          }(),
          [this, &cluster](const ServerInfo* server) { cluster.on_link(*this, server); }) {}

void Cluster::Node::send(std::size_t affinity, Command command) {
    if (!asking_) {
        pool_.send(affinity, std::move(command));
        return;
    }
    // The two have to be neighbours on one connection: neither gives way.
    command.gives_way = false;
    command.done = [this, done = std::move(command.done)](Outcome outcome) mutable {
        const Asking again{*this};
        done(std::move(outcome));
    };
    pool_.send(affinity, {format_command({"ASKING"}), command.timeout, [](const Outcome&) {}, {}});
    pool_.send(affinity, std::move(command));
}

Cluster::Cluster(boost::asio::io_context& context, const Settings& settings, Listener listener)
    : context_(context),
      settings_(settings),
      listener_(std::move(listener)),
      inbox_(std::make_shared<Inbox>(*this)),
      timer_(context),
      soon_(context) {}

Cluster::~Cluster() {
    stop();
}

void Cluster::start() {
    seek();
    tick();
}

void Cluster::stop() {
    if (std::exchange(stopping_, true)) {
        return;
    }
    timer_.cancel();
    soon_.cancel();
    for (const Seed& seed : seeds_) {
        seed.connection->stop();
    }
    for (const auto& node : nodes_) {
        node->pool_.stop();
    }
}

std::shared_ptr<Topology> Cluster::inbox() const {
    return inbox_;
}

void Cluster::tick() {
    timer_.expires_after(kInterval);
    timer_.async_wait([this](auto error) {
        if (error || stopping_) {
            return;
        }
        ask_one();
        tick();
    });
}

void Cluster::refresh() {
    if (stopping_ || std::exchange(refreshing_, true)) {
        again_ = true;  // what is being told may be older news
        return;
    }
    ask_all();
    soon_.expires_after(kEager);
    soon_.async_wait([this](auto error) {
        if (error || stopping_) {
            return;
        }
        refreshing_ = false;
        if (std::exchange(again_, false)) {
            refresh();
        }
    });
}

void Cluster::ask_one() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        Node& node = *nodes_[++turn_ % nodes_.size()];
        if (node.up()) {
            node.pool_.send(0, nodes_command(node.address()));
            return;
        }
    }
    seek();
}

void Cluster::ask_all() {
    bool any = false;
    for (const auto& node : nodes_) {
        if (node->up()) {
            any = true;
            node->pool_.send(0, nodes_command(node->address()));
        }
    }
    if (!any) {
        seek();
    }
}

Command Cluster::nodes_command(const Address& asked) {
    return {format_command({"CLUSTER", "NODES"}),
            settings_.connect_timeout,
            [this, asked](const Outcome& outcome) { on_view(asked, outcome); },
            {}};
}

void Cluster::seek() {
    std::vector<Address> addresses = settings_.cluster;
    for (const ClusterNode& node : map_.last_view()) {
        addresses.push_back(node.address);
    }
    for (const Address& address : addresses) {
        const auto same = [&](const Seed& seed) { return seed.address == address; };
        const auto found = std::find_if(seeds_.begin(), seeds_.end(), same);
        if (found != seeds_.end()) {
            on_seed(address);
            continue;
        }
        const auto seed = settings_.seed + static_cast<std::uint32_t>(seeds_.size());
        seeds_.push_back({address,
                          std::make_shared<Connection>(context_,
                                                       settings_at(address, settings_),
                                                       seed,
                                                       [this, address](const ServerInfo* server) {
                                                           if (server != nullptr) {
                                                               on_seed(address);
                                                           }
                                                       })});
        seeds_.back().connection->start();
    }
}

void Cluster::on_seed(const Address& address) {
    const auto found = std::find_if(
        seeds_.begin(), seeds_.end(), [&](const Seed& seed) { return seed.address == address; });
    if (stopping_ || found == seeds_.end()) {
        return;
    }
    Command command = nodes_command(address);
    found->connection->send(command);  // if it is down, it is asked when it comes up
}

void Cluster::end_seeking() {
    for (const Seed& seed : std::exchange(seeds_, {})) {
        seed.connection->stop();
    }
}

void Cluster::on_view(const Address& asked, const Outcome& outcome) {
    const auto* reply = std::get_if<Reply>(&outcome);
    if (stopping_ || reply == nullptr) {
        return;
    }
    if ((*reply)->is_error()) {
        why_ = asked.text() + " answers: " + std::string{(*reply)->text()};
        return;
    }
    // Not within the answer: it may be that of a node which is to be dropped for it.
    boost::asio::post(
        context_,
        [this, asked, view = parse_cluster_nodes((*reply)->text(), asked, settings_.tls.on)] {
            learn(asked, view);
        });
}

void Cluster::learn(const Address& asked, const ClusterView& view) {
    if (stopping_) {
        return;
    }
    const auto changes = map_.learn(view);
    if (!map_.known()) {
        why_ = asked.text() + " knows no slots: is it part of a Cluster?";
        return;
    }
    follow_map();
    listener_.on_map(changes, asked);
}

// Nodes as the map has them.
void Cluster::follow_map() {
    const std::vector<Address> wanted = map_.primaries();
    for (const Address& address : wanted) {
        node_at(address);
    }
    std::vector<Address> left;
    for (const auto& node : nodes_) {
        if (std::find(wanted.begin(), wanted.end(), node->address()) == wanted.end()) {
            left.push_back(node->address());
        }
    }
    for (const Address& address : left) {
        retire(address);
    }
    if (inbox_->choose()) {
        listener_.on_inbox_moved();
    }
}

Cluster::Node& Cluster::node_at(const Address& address) {
    const auto found = std::find_if(
        nodes_.begin(), nodes_.end(), [&](const auto& node) { return node->address() == address; });
    if (found != nodes_.end()) {
        return **found;
    }
    nodes_.push_back(std::make_shared<Node>(*this, address));
    Node& node = *nodes_.back();
    node.pool_.start();
    return node;
}

void Cluster::retire(const Address& address) {
    const auto found = std::find_if(
        nodes_.begin(), nodes_.end(), [&](const auto& node) { return node->address() == address; });
    const auto node = *found;
    nodes_.erase(found);
    node->pool_.stop();
    listener_.on_gone(*node);
    gone_.push_back(node);
    boost::asio::post(context_, [this, node] { std::erase(gone_, node); });
}

Cluster::Node* Cluster::owner(Slot slot) {
    const auto address = map_.owner(slot);
    return address ? &node_at(*address) : nullptr;
}

Cluster::Node& Cluster::follow(const Redirect& redirect) {
    refresh();
    Node& node = node_at(redirect.to);
    if (redirect.kind == Redirect::Kind::moved) {
        if (const auto change = map_.moved(redirect.slot, redirect.to)) {
            listener_.on_map({*change}, std::nullopt);
        }
    }
    return node;
}

std::vector<Cluster::Node*> Cluster::nodes() const {
    std::vector<Node*> all;
    for (const auto& node : nodes_) {
        all.push_back(node.get());
    }
    return all;
}

void Cluster::on_link(Node& node, const ServerInfo* server) {
    node.tried_ = true;
    if (server != nullptr && map_.known()) {
        boost::asio::post(context_, [this] {
            if (!stopping_) {
                end_seeking();
            }
        });
    }
    listener_.on_link(node, server);
    // The connection counts as up from here on.
    boost::asio::post(context_, [this] {
        if (!stopping_ && inbox_->choose()) {
            listener_.on_inbox_moved();
        }
    });
    refresh();
}

void Cluster::on_failed(const Address& address) {
    if (stopping_) {
        return;
    }
    for (const auto& node : nodes_) {
        if (node->address() == address) {
            node->tried_ = true;
            if (!node->up()) {
                map_.doubt(address);
            }
        }
    }
    refresh();
}

std::string Cluster::why_unknown() const {
    std::string why = "the Cluster is not known: " + why_;
    for (const Seed& seed : seeds_) {
        if (!seed.connection->up()) {
            why += "; " + seed.address.text() + ": " + seed.connection->last_error();
        }
    }
    return why;
}

Pool::Status Cluster::status() const {
    Pool::Status total;
    for (const auto& node : nodes_) {
        total += node->pool_.status();
    }
    return total;
}

}  // namespace holdfast::redis
