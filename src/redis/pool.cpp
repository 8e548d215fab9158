#include "redis/pool.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace holdfast::redis {

Pool::Pool(boost::asio::io_context& context,
           const Settings& settings,
           absl::AnyInvocable<void(const ServerInfo* server)> on_change)
    : context_(context), on_change_(std::move(on_change)) {
    for (std::size_t i = 0; i < settings.connections; ++i) {
        const auto seed = settings.seed + static_cast<std::uint32_t>(i);
        connections_.push_back(
            std::make_shared<Connection>(context, settings, seed, [this](const ServerInfo* server) {
                if (server != nullptr) {
                    leave_others(server->run_id());
                }
                on_change_(server);
            }));
    }
}

void Pool::leave_others(std::string_view run_id) {
    for (const auto& connection : connections_) {
        if (connection->up() && connection->server().run_id() != run_id) {
            connection->relocate();
        }
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

void Pool::authenticate_anew(const std::function<void(std::string_view error)>& refused) {
    for (const auto& connection : connections_) {
        connection->authenticate_anew(refused);
    }
}

void Pool::relocate() {
    for (const auto& connection : connections_) {
        connection->relocate();
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

bool Pool::any_up() const {
    return std::any_of(connections_.begin(), connections_.end(), [](const auto& connection) {
        return connection->up();
    });
}

Pool::Status Pool::status() const {
    Status total;
    for (const auto& connection : connections_) {
        const Multiplexer& multiplexer = connection->multiplexer();
        total += {connection->up() ? 1U : 0U,
                  multiplexer.in_flight(),
                  connection->up() ? std::string{} : connection->last_error(),
                  connection->counters(),
                  multiplexer.counters()};
    }
    return total;
}

Pool::Status& Pool::Status::operator+=(const Status& other) {
    up += other.up;
    in_flight += other.in_flight;
    if (!other.last_error.empty()) {
        last_error = other.last_error;
    }
    connections.connects += other.connections.connects;
    connections.failed_connects += other.connections.failed_connects;
    connections.protocol_errors += other.connections.protocol_errors;
    connections.writes += other.connections.writes;
    commands.commands += other.commands.commands;
    commands.replies += other.commands.replies;
    commands.timeouts += other.commands.timeouts;
    commands.late_replies += other.commands.late_replies;
    commands.refused += other.commands.refused;
    commands.latencies += other.commands.latencies;
    return *this;
}

}  // namespace holdfast::redis
