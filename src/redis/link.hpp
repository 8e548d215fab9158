#pragma once

// What every connection to a Redis does, whatever it carries: keeps itself up. Connects with a
// timeout, introduces itself (AUTH, SELECT, CLIENT SETNAME), asks whom it
// talks to (INFO), and when it breaks connects again after a
// jittered exponential back-off.
//
//   down        -> connecting, after the back-off (at once the first time)
//   connecting  -> up, when TCP or Unix and the handshake are through: serve() runs until it breaks
//               -> down, on any error or after connect_timeout
//   up          -> down, when serve() ends
//   any         -> stopped, for good
//
// Used from the thread that runs its executor. Kept alive by its own operations until they end.

#include "redis/server_info.hpp"
#include "redis/settings.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::redis {

class Link : public std::enable_shared_from_this<Link> {
public:
    struct Counters {
        std::uint64_t connects = 0;
        std::uint64_t failed_connects = 0;
        std::uint64_t protocol_errors = 0;
        std::uint64_t writes = 0;
    };

    virtual ~Link() = default;

    void start();
    void stop();

    bool up() const { return up_; }
    // Why the last try to connect failed, or the connection broke. No secrets.
    const std::string& last_error() const { return last_error_; }
    const Counters& counters() const { return counters_; }
    // The server of the last handshake.
    const ServerInfo& server() const { return server_; }

protected:
    using Socket = boost::asio::generic::stream_protocol::socket;
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;
    static constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);

    Link(boost::asio::io_context& context, const Settings& settings, std::uint32_t seed);

    // From up to broken: returns when the connection is of no more use, after broke().
    virtual Awaitable<void> serve() = 0;
    // The link has come up, or gone down.
    virtual void on_change(bool up) = 0;
    // A try to connect has failed, the connection has broken, or the link is being stopped.
    virtual void on_down() {}

    void broke(std::string_view why);

    boost::asio::io_context& context_;
    Settings settings_;
    Socket socket_;
    boost::asio::steady_timer timer_;  // connect timeout and back-off; free while up
    std::minstd_rand random_;
    Counters counters_;
    std::vector<char> incoming_;
    bool up_ = false;
    bool stopping_ = false;

private:
    static Awaitable<void> run(std::shared_ptr<Link> self);
    Awaitable<void> keep_up();
    Awaitable<bool> connect();
    Awaitable<bool> open_socket();
    Awaitable<bool> shake_hands();
    Awaitable<void> back_off();
    bool accept_handshake_reply(std::size_t index, const Value& reply);
    bool failed(std::string_view what);
    void set_up(bool up);

    std::string last_error_ = "not connected yet";
    ServerInfo server_;
    bool connecting_ = false;
    unsigned failures_ = 0;
};

}  // namespace holdfast::redis
