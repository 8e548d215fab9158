#pragma once

// The bytes of one connection: over a plain socket, or over TLS from secure() on. One read and one write
// at a time. Close ends both at once: TLS' own farewell is left out, as nobody here relies on it, and a
// server that stands still could make it last.
//
// What is under way refers to the stream: who waits for it must keep it (a coroutine that awaits does not
// replace it; write() keeps it itself).

#include "redis/tls.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <optional>
#include <string>
#include <utility>

namespace holdfast::redis {

inline constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);

class Stream {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    explicit Stream(boost::asio::io_context& context) : socket_(context) {}

    Socket& socket() { return socket_; }
    void close();

    // The TLS handshake, once the socket is connected, with the server of this name: a host or an
    // address. Gives why it failed, in words; empty: it did not.
    boost::asio::awaitable<std::string> secure(TlsContext context, std::string name);

    auto read_some(boost::asio::mutable_buffer into) {
        return tls_ ? tls_->async_read_some(into, kAwait) : socket_.async_read_some(into, kAwait);
    }

    template <class Token>
    auto write(boost::asio::const_buffer bytes, Token token) {
        return tls_ ? boost::asio::async_write(*tls_, bytes, std::move(token))
                    : boost::asio::async_write(socket_, bytes, std::move(token));
    }

private:
    Socket socket_;
    TlsContext context_;
    std::optional<boost::asio::ssl::stream<Socket&>> tls_;
};

}  // namespace holdfast::redis
