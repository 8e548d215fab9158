#pragma once

// A TCP proxy that a test puts between two parts to break what goes through: cut, stall, truncate,
// lose replies. One thread; every control takes effect before it returns.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace holdfast::test {

class TcpGate {
public:
    // From a port of 127.0.0.1 of its own to `upstream_port`.
    explicit TcpGate(int upstream_port);
    ~TcpGate();

    int port() const { return port_; }

    void lead_to(int upstream_port);  // new connections; those that there are stay where they are
    void cut();                       // resets all connections; new ones may come
    void refuse(bool on);             // closes new connections at once
    void hold_requests(bool on);      // bytes to the server wait; off lets them go
    void hold_replies(bool on);       // bytes from the server wait; off lets them go
    void hold_from(
        const std::string& client);  // both, of clients at this IP address; empty: of none
    void drop_replies(bool on);      // bytes from the server are lost
    // Each connection is reset after so many bytes of replies; empty: never.
    void cut_after(std::optional<std::size_t> reply_bytes);
    void byte_by_byte(bool on);                      // replies are passed on one byte at a time
    void delay(std::chrono::milliseconds each_way);  // bytes come so much later, in order

    std::size_t accepted() const { return accepted_; }

private:
    class Link;
    friend class Link;

    void accept();
    template <class Change>
    void apply(Change change);

    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    int upstream_port_;
    int port_;
    std::set<std::shared_ptr<Link>> links_;
    bool refuse_ = false;
    bool hold_requests_ = false;
    bool hold_replies_ = false;
    std::string held_client_;
    bool drop_replies_ = false;
    bool byte_by_byte_ = false;
    std::chrono::milliseconds delay_{0};
    std::optional<std::size_t> cut_after_;
    std::atomic<std::size_t> accepted_{0};
    std::thread thread_;
};

}  // namespace holdfast::test
