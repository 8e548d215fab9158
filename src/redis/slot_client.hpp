#pragma once

// A Client for one slot of a Cluster, for commands that mean the same at any node: they follow the slot, as
// they are. (Those that depend on the node, as by its clock, are made anew for each: store/routed_call.hpp.)

#include "redis/cluster.hpp"

#include <memory>

namespace holdfast::redis {

class SlotClient final : public Client {
public:
    SlotClient(Cluster& cluster, boost::asio::io_context& context, Slot slot)
        : cluster_(cluster), context_(context), slot_(slot) {}

    void send(std::size_t affinity, Command command) override;

private:
    struct Call;
    void send_to(Cluster::Node& node, const std::shared_ptr<Call>& call, bool asking);

    Cluster& cluster_;
    boost::asio::io_context& context_;
    const Slot slot_;
};

}  // namespace holdfast::redis
