#pragma once

// What every connection to a Redis does, whatever it carries: keeps itself up. Connects with a
// timeout, with TLS if the settings say so, introduces itself (AUTH, SELECT, CLIENT SETNAME), asks whom it
// talks to (INFO), and when it breaks connects again after a jittered exponential back-off, with the keys
// that Access has by then.
//
// With a topology, it leads to the primary only: where that is said to be, if the server says so, too.
//
//   down        -> connecting, after the back-off (at once the first time)
//   connecting  -> up, when TCP or Unix, TLS and the handshake are through: serve() runs until it breaks
//               -> down, on any error or after connect_timeout
//   up          -> down, when serve() ends
//   any         -> connecting, at once: relocate(), as the primary is elsewhere now
//   any         -> stopped, for good
//
// Used from the thread that runs its executor. Kept alive by its own operations until they end.

#include "redis/access.hpp"
#include "redis/server_info.hpp"
#include "redis/settings.hpp"
#include "redis/stream.hpp"

#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
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
    // The topology names another server now: leaves the old one, whatever it does.
    void relocate();

    bool up() const { return up_; }
    // Why the last try to connect failed, or the connection broke. No secrets.
    const std::string& last_error() const { return last_error_; }
    const Counters& counters() const { return counters_; }
    // The server of the last handshake.
    const ServerInfo& server() const { return server_; }

protected:
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;

    Link(boost::asio::io_context& context, const Settings& settings, std::uint32_t seed);

    // From up to broken: returns when the connection is of no more use, after broke().
    virtual Awaitable<void> serve() = 0;
    // The link has come up, or gone down.
    virtual void on_change(bool up) = 0;
    // A try to connect has failed, the connection has broken, or the link is being stopped.
    virtual void on_down() {}

    void broke(std::string_view why);
    // Some bytes into incoming_.
    auto read() { return stream_->read_some(boost::asio::buffer(incoming_)); }
    // All of `bytes`, which stay where they are until done(whether they were written). After an error
    // the reader notices, and cleans up. One write at a time.
    template <class Done>
    void write(const std::string& bytes, Done done);

    boost::asio::io_context& context_;
    Settings settings_;
    std::shared_ptr<Access> access_;
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
    bool choose_server();
    Awaitable<bool> open_stream();
    Awaitable<bool> connect_socket();
    Awaitable<bool> shake_hands();
    bool is_wanted();
    void tell_topology(bool reached);
    Awaitable<void> back_off();
    std::string introduction() const;
    bool accept_handshake_reply(std::size_t index, const Value& reply);
    std::string handshake_error_in_words(const boost::system::error_code& error) const;
    bool failed(std::string_view what);
    void set_up(bool up);

    std::shared_ptr<Stream> stream_;  // anew for each connection: what is under way keeps its own
    Keys keys_;                       // of this connection
    std::string last_error_ = "not connected yet";
    ServerInfo server_;
    const char* waiting_for_ = nullptr;  // while it connects
    bool relocated_ = false;             // since a server was chosen
    unsigned failures_ = 0;
};

template <class Done>
void Link::write(const std::string& bytes, Done done) {
    auto finish = [self = shared_from_this(), stream = stream_, done = std::move(done)](
                      const boost::system::error_code& error, std::size_t) mutable {
        if (error && stream == self->stream_) {
            self->broke(error_in_words(error));
        }
        done(!error);
    };
    stream_->write(boost::asio::buffer(bytes), std::move(finish));
}

}  // namespace holdfast::redis
