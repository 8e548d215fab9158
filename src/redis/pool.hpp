#pragma once

// Several connections to one Redis as one Client.
//
// Commands of one affinity share a connection, and so keep their order, while it is up. While it is
// down they go over the next one that is: what was under way on the broken one is unknown in any
// case, so there is no order left to keep.
//
// All lead to one server: when one comes up to another process than the others, which may live on behind an
// address that has moved, those are made anew before anybody hears of it.

#include "redis/connection.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::redis {

class Pool final : public Client {
public:
    // At one moment, of all connections together.
    struct Status {
        std::size_t up = 0;
        std::size_t in_flight = 0;
        std::string last_error;  // why one of them is down
        Connection::Counters connections;
        Multiplexer::Counters commands;

        Status& operator+=(const Status& other);
    };

    // `on_change` is called on the loop's thread when a connection comes up, before anything is sent
    // over it, with the server it leads to, or goes down (nullptr).
    Pool(boost::asio::io_context& context,
         const Settings& settings,
         absl::AnyInvocable<void(const ServerInfo* server)> on_change);
    ~Pool() override;

    void start();
    // Fails what is under way and closes. To be called on the loop's thread, or when it runs no
    // more.
    void stop();
    // The primary is elsewhere now: see Link.
    void relocate();

    // After Access::reload(): shows the new password to Redis on all connections, without closing them.
    // `refused` gets Redis' error, once for each that says no.
    void authenticate_anew(const std::function<void(std::string_view error)>& refused);

    void send(std::size_t affinity, Command command) override;
    Status status() const;
    bool any_up() const;

private:
    void leave_others(std::string_view run_id);

    boost::asio::io_context& context_;
    absl::AnyInvocable<void(const ServerInfo* server)> on_change_;
    std::vector<std::shared_ptr<Connection>> connections_;
};

}  // namespace holdfast::redis
