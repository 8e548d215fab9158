#include "redis/pool.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace holdfast::redis {

Pool::Pool(boost::asio::io_context& context,
           const Settings& settings,
           absl::AnyInvocable<void(bool any_up)> on_change)
    : context_(context), on_change_(std::move(on_change)) {
    for (std::size_t i = 0; i < settings.connections; ++i) {
        const auto seed = settings.seed + static_cast<std::uint32_t>(i);
        connections_.push_back(std::make_shared<Connection>(
            context, settings, seed, [this] { on_change_(status().up > 0); }));
    }
}

Pool::~Pool() {
    stop();
}

void Pool::start() {
    for (const auto& connection : connections_) {
        connection->start();
    }
}

void Pool::stop() {
    for (const auto& connection : connections_) {
        connection->stop();
    }
}

void Pool::send(std::size_t affinity, Command command) {
    Failure why = Failure::refused_disconnected;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
        const auto refused = connections_[(affinity + i) % connections_.size()]->send(command);
        if (!refused) {
            return;
        }
        why = *refused;
        if (why != Failure::refused_disconnected) {
            break;
        }
    }
    boost::asio::post(context_, [done = std::move(command.done), why]() mutable { done(why); });
}

Pool::Status Pool::status() const {
    Status total;
    for (const auto& connection : connections_) {
        total.up += connection->up() ? 1 : 0;
        if (!connection->up()) {
            total.last_error = connection->last_error();
        }
        const Connection::Counters& counters = connection->counters();
        total.connections.connects += counters.connects;
        total.connections.failed_connects += counters.failed_connects;
        total.connections.protocol_errors += counters.protocol_errors;
        total.connections.writes += counters.writes;
        const Multiplexer& multiplexer = connection->multiplexer();
        total.in_flight += multiplexer.in_flight();
        total.commands.commands += multiplexer.counters().commands;
        total.commands.replies += multiplexer.counters().replies;
        total.commands.timeouts += multiplexer.counters().timeouts;
        total.commands.late_replies += multiplexer.counters().late_replies;
        total.commands.refused += multiplexer.counters().refused;
    }
    return total;
}

}  // namespace holdfast::redis
