#include "redis/slot_client.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace holdfast::redis {
namespace {

constexpr int kMostHops = 5;

}  // namespace

struct SlotClient::Call {
    std::size_t affinity;
    Command command;
    int hops = 0;
};

void SlotClient::send(std::size_t affinity, Command command) {
    Cluster::Node* node = cluster_.owner(slot_);
    if (node == nullptr) {
        boost::asio::post(context_, [done = std::move(command.done)]() mutable {
            done(Failure::refused_disconnected);
        });
        return;
    }
    send_to(*node, std::make_shared<Call>(Call{affinity, std::move(command)}), false);
}

void SlotClient::send_to(Cluster::Node& node, const std::shared_ptr<Call>& call, bool asking) {
    std::optional<Cluster::Node::Asking> ahead;
    if (asking) {
        ahead.emplace(node);
    }
    const auto answered = [this, call, from = node.address()](Outcome outcome) {
        const auto* reply = std::get_if<Reply>(&outcome);
        const auto redirect = reply != nullptr && (*reply)->is_error()
                                  ? parse_redirect((*reply)->text(), from)
                                  : std::nullopt;
        if (redirect && ++call->hops <= kMostHops) {
            send_to(cluster_.follow(*redirect), call, redirect->kind == Redirect::Kind::ask);
        } else {
            call->command.done(std::move(outcome));
        }
    };
    node.send(call->affinity,
              {call->command.wire, call->command.timeout, answered, {}, call->command.gives_way});
}

}  // namespace holdfast::redis
