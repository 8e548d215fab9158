#pragma once

// One connection to one Redis that keeps itself up: the thin shell around Multiplexer. Connects
// with a timeout, introduces itself (AUTH, SELECT, CLIENT SETNAME), carries commands, and when it
// breaks connects again after a jittered exponential back-off. Commands given to it while it is
// down are refused. One write carries all that one turn of the loop appended.
//
//   down        -> connecting, after the back-off (at once the first time)
//   connecting  -> up, when TCP or Unix and the handshake are through
//               -> down, on any error or after connect_timeout
//   up          -> down, when the socket breaks, the server speaks no RESP, or says that it is no
//                  primary or wants authentication: all commands on it fail, nothing is resent
//   any         -> stopped, for good
//
// Used from the thread that runs its executor. Kept alive by its own operations until they end.

#include "redis/settings.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <random>
#include <vector>

namespace holdfast::redis {

class Connection : public std::enable_shared_from_this<Connection> {
public:
    struct Counters {
        std::uint64_t connects = 0;
        std::uint64_t failed_connects = 0;
        std::uint64_t protocol_errors = 0;
        std::uint64_t writes = 0;
    };

    Connection(boost::asio::io_context& context,
               const Settings& settings,
               std::uint32_t seed,
               absl::AnyInvocable<void()> on_change);

    void start();
    void stop();

    bool up() const { return up_; }
    // Why the last try to connect failed, or the connection broke. No secrets.
    const std::string& last_error() const { return last_error_; }
    const Counters& counters() const { return counters_; }
    const Multiplexer& multiplexer() const { return multiplexer_; }

    // Takes the command, or says why not and leaves it untouched.
    std::optional<Failure> send(Command& command);

private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;

    static Awaitable<void> run(std::shared_ptr<Connection> self);
    Awaitable<void> keep_up();
    Awaitable<bool> connect();
    Awaitable<bool> open_socket();
    Awaitable<bool> shake_hands();
    Awaitable<void> read_until_broken();
    Awaitable<void> back_off();
    bool accept_handshake_reply(std::size_t index, const Value& reply);
    bool failed(std::string_view what);
    void broke(std::string why);
    void set_up(bool up);
    void schedule_flush();
    void flush();
    void schedule_tick();

    boost::asio::io_context& context_;
    Settings settings_;
    Multiplexer multiplexer_;
    Socket socket_;
    boost::asio::steady_timer timer_;  // connect timeout and back-off
    boost::asio::steady_timer tick_;   // command timeouts; looks at CLOCK_BOOTTIME when it wakes
    std::minstd_rand random_;
    absl::AnyInvocable<void()> on_change_;
    Counters counters_;
    std::string last_error_ = "not connected yet";
    std::string outgoing_;  // what the write under way sends
    std::vector<char> incoming_;
    bool connecting_ = false;
    bool up_ = false;
    bool stopping_ = false;
    bool writing_ = false;
    bool flush_scheduled_ = false;
    bool tick_scheduled_ = false;
    unsigned failures_ = 0;
};

}  // namespace holdfast::redis
