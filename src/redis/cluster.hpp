#pragma once

// A Redis Cluster: finds its primaries and keeps connections to each of them. Who sends commands chooses the
// node by slot, and tells here what a node answers besides (MOVED, ASK): see store/routed_call.hpp.
//
//   seeking   no primary is up: all addresses that are known, the URL's and those learnt, are tried and
//             asked for CLUSTER NODES
//             -> known, when one has answered. It may be a replica
//   known     nodes are what the map says (ClusterMap): those that are new are connected, those that are no
//             primary any more are dropped, and what was under way there is unknown. One is asked each second,
//             in turn; all, at once, after MOVED, ASK or a lost connection, but not more often than kEager
//             -> seeking, when no primary is up any more
//
//   a node    connected by a pool, which leads to this address only while the server says that it is a
//             primary. A replica that is asked by mistake answers MOVED
//
// What fails here costs time, never safety: a wrong map leads to a node that answers MOVED, and commands are
// executed only by the one that serves the slot. Not noticed: an old primary on the smaller side of a
// partition serves until cluster-node-timeout has passed there; so no lease of that time may be forgotten by
// the new one before it has ended (store/canary.hpp), and what is renewed on the old side only is lost.

#include "redis/cluster_map.hpp"
#include "redis/pool.hpp"
#include "redis/redirect.hpp"
#include "redis/topology.hpp"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::redis {

class Cluster {
public:
    // One primary.
    class Node final : public Client {
    public:
        Node(Cluster& cluster, const Address& where);

        // While it lives, what is sent to the node goes behind ASKING; and so does what is sent again on the
        // answer to that (an ASKING is used up by NOSCRIPT).
        class Asking {
        public:
            explicit Asking(Node& node) : node_(node), before_(std::exchange(node.asking_, true)) {}
            ~Asking() { node_.asking_ = before_; }
            Asking(const Asking&) = delete;
            Asking& operator=(const Asking&) = delete;

        private:
            Node& node_;
            bool before_;
        };

        void send(std::size_t affinity, Command command) override;

        const Address& address() const { return address_; }
        Pool& pool() { return pool_; }
        bool up() const { return pool_.any_up(); }
        // A connection has come up, or a try has failed, since it is known.
        bool tried() const { return tried_; }

    private:
        friend class Cluster;
        struct Place;

        const Address address_;
        Pool pool_;
        bool asking_ = false;
        bool tried_ = false;
    };

    struct Listener {
        // A connection to the node has come up, before anything is sent over it; or gone down (nullptr).
        std::function<void(Node& node, const ServerInfo* server)> on_link;
        // The map may be another. `asked`: whose view it is; empty: MOVED.
        std::function<void(const std::vector<ClusterMap::Change>& changes,
                           const std::optional<Address>& asked)>
            on_map;
        // The node is dropped. It goes after the call.
        std::function<void(Node& node)> on_gone;
        // Who listens for messages has to go elsewhere: see inbox().
        std::function<void()> on_inbox_moved;
    };

    // settings.cluster: where to begin.
    Cluster(boost::asio::io_context& context, const Settings& settings, Listener listener);
    ~Cluster();

    void start();
    // On the loop's thread, or when it runs no more.
    void stop();

    const ClusterMap& map() const { return map_; }
    // Who serves the slot, as far as is known; nullptr: nobody.
    Node* owner(Slot slot);
    // The node that a redirection leads to. MOVED changes the map.
    Node& follow(const Redirect& redirect);
    std::vector<Node*> nodes() const;
    // Something does not fit: asks for the map, soon.
    void refresh();

    // A topology for one who listens: messages reach all nodes, so any primary that is up will do.
    std::shared_ptr<Topology> inbox() const;
    // Why the map is not known. No secrets.
    std::string why_unknown() const;
    Pool::Status status() const;

private:
    struct Inbox;
    struct Seed {
        Address address;
        std::shared_ptr<Connection> connection;
    };

    Node& node_at(const Address& address);
    void tick();
    void ask_one();
    void ask_all();
    void on_view(const Address& asked, const Outcome& outcome);
    void learn(const Address& asked, const ClusterView& view);
    void on_seed(const Address& address);
    void seek();
    void end_seeking();
    void follow_map();
    void retire(const Address& address);
    void on_link(Node& node, const ServerInfo* server);
    void on_failed(const Address& address);
    Command nodes_command(const Address& asked);

    boost::asio::io_context& context_;
    const Settings settings_;
    Listener listener_;
    ClusterMap map_;
    std::vector<std::shared_ptr<Node>> nodes_;
    std::vector<std::shared_ptr<Node>> gone_;  // until what their pools have posted has run
    std::vector<Seed> seeds_;
    std::shared_ptr<Inbox> inbox_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer soon_;
    std::size_t turn_ = 0;
    bool refreshing_ = false;
    bool again_ = false;
    bool stopping_ = false;
    std::string why_ = "not asked yet";
};

}  // namespace holdfast::redis
