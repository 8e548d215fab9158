#include "redis/link.hpp"

#include "redis/topology.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <algorithm>
#include <netinet/tcp.h>
#include <utility>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kReadBytes = 64 * 1024;
// Unacknowledged data for so long breaks the connection, instead of the kernel's quarter of an
// hour.
constexpr int kTcpUserTimeoutMs = 5000;

// A record of TLS that says goodbye: the answer to a plain handshake.
bool is_tls_alert(const std::vector<char>& bytes) {
    return bytes[0] == '\x15' && bytes[1] == '\x03';
}

using IntOption = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;

}  // namespace

Link::Link(asio::io_context& context, const Settings& settings, std::uint32_t seed)
    : context_(context),
      settings_(settings),
      access_(settings.access ? settings.access : std::make_shared<Access>(settings)),
      timer_(context),
      random_(seed),
      incoming_(kReadBytes),
      stream_(std::make_shared<Stream>(context)) {}

void Link::start() {
    asio::co_spawn(context_, run(shared_from_this()), asio::detached);
}

void Link::stop() {
    stopping_ = true;
    up_ = false;
    stream_->close();
    timer_.cancel();
    on_down();
}

// `self` lives in the coroutine's frame and keeps the connection while it runs.
Link::Awaitable<void> Link::run(std::shared_ptr<Link> self) {
    co_await self->keep_up();
}

Link::Awaitable<void> Link::keep_up() {
    while (!stopping_) {
        // Not `if (co_await ...)`: GCC 12 miscompiles a co_await in a condition inside a loop.
        const bool connected = co_await connect();
        if (connected) {
            ++counters_.connects;
            failures_ = 0;
            tell_topology(true);
            set_up(true);
            co_await serve();
            set_up(false);
        } else {
            ++counters_.failed_connects;
        }
        if (!stopping_) {
            on_down();
            tell_topology(false);
            co_await back_off();
        }
    }
}

// Up to the end of the handshake, within connect_timeout.
Link::Awaitable<bool> Link::connect() {
    waiting_for_ = "no connection";
    timer_.expires_after(settings_.connect_timeout);
    timer_.async_wait([self = shared_from_this()](auto error) {
        // A timer that has fired can no longer be cancelled: it may come after the handshake.
        if (!error && self->waiting_for_ != nullptr) {
            self->failed(std::string{self->waiting_for_} + " within the connect timeout");
            self->stream_->close();
        }
    });
    last_error_.clear();
    keys_ = access_->keys();
    bool connected = choose_server();
    if (connected) {
        connected = co_await open_stream();
    }
    if (connected) {
        connected = co_await shake_hands();
    }
    waiting_for_ = nullptr;
    timer_.cancel();
    if (!connected && !keys_.outdated.empty()) {
        last_error_ += "; and " + keys_.outdated;
    }
    co_return connected && !stopping_ && stream_->socket().is_open() && is_wanted();
}

bool Link::choose_server() {
    relocated_ = false;
    if (!settings_.topology) {
        return true;
    }
    const auto primary = settings_.topology->primary();
    if (!primary) {
        return failed(settings_.topology->why_unknown());
    }
    settings_.host = primary->host;
    settings_.port = primary->port;
    return true;
}

// The server is the primary, as it says itself, and the topology still says so.
bool Link::is_wanted() {
    if (!settings_.topology) {
        return true;
    }
    if (relocated_) {
        return failed("the primary has moved meanwhile");
    }
    return server_.primary || failed("is a replica, and no primary");
}

void Link::tell_topology(bool reached) {
    if (settings_.topology && !relocated_) {
        const Address server{settings_.host, settings_.port};
        reached ? settings_.topology->reached(server) : settings_.topology->failed(server);
    }
}

void Link::relocate() {
    if (stopping_) {
        return;
    }
    relocated_ = true;
    failures_ = 0;
    if (up_ || waiting_for_ != nullptr) {
        broke("the primary has moved");
    } else {
        timer_.cancel();  // of the back-off
    }
}

Link::Awaitable<bool> Link::open_stream() {
    stream_->close();
    stream_ = std::make_shared<Stream>(context_);
    bool connected = co_await connect_socket();
    if (connected && keys_.tls) {
        waiting_for_ = "no answer to the TLS handshake (is it a port for TLS?)";
        const std::string& name = keys_.server_name.empty() ? settings_.host : keys_.server_name;
        const std::string refused = co_await stream_->secure(keys_.tls, name);
        connected = refused.empty() || failed(refused);
    }
    co_return connected;
}

Link::Awaitable<bool> Link::connect_socket() {
    Stream::Socket& socket = stream_->socket();
    boost::system::error_code ignored;
    if (!settings_.unix_path.empty()) {
        const asio::local::stream_protocol::endpoint endpoint{settings_.unix_path};
        const auto [error] = co_await socket.async_connect(endpoint, kAwait);
        co_return !error || failed(error.message());
    }
    asio::ip::tcp::resolver resolver{context_};
    const auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(settings_.host, std::to_string(settings_.port), kAwait);
    if (resolve_error) {
        co_return failed(resolve_error.message());
    }
    for (const auto& entry : endpoints) {
        socket.close(ignored);
        const asio::ip::tcp::endpoint endpoint = entry.endpoint();
        const auto [error] = co_await socket.async_connect(endpoint, kAwait);
        if (!error) {
            socket.set_option(asio::ip::tcp::no_delay{true}, ignored);
            socket.set_option(asio::socket_base::keep_alive{true}, ignored);
            socket.set_option(IntOption{kTcpUserTimeoutMs}, ignored);
            co_return true;
        }
        failed(error.message());
    }
    co_return false;
}

// All in one write; the last command, PING, proves that the server serves us.
std::string Link::introduction() const {
    std::string wire = keys_.auth_command();
    wire += format_command({"CLIENT", "SETNAME", settings_.client_name});
    if (!settings_.to_sentinel) {
        wire += format_command({"SELECT", std::to_string(settings_.db)});
        for (const char* section : {"server", "replication"}) {
            wire += format_command({"INFO", section});
        }
    }
    return wire + format_command({"PING"});
}

Link::Awaitable<bool> Link::shake_hands() {
    waiting_for_ = "no answer";
    constexpr std::size_t kBeforeInfo = 3;
    const std::size_t replies = settings_.to_sentinel ? 3 : 6;

    std::string wire = introduction();
    std::string info;
    co_await stream_->write(asio::buffer(wire), kAwait);
    std::fill(wire.begin(), wire.end(), '\0');  // the password does not stay in memory here
    // Also after an error of the write: what the server said before it closed tells more.
    ReplyReader reader;
    for (std::size_t received = 0; received < replies;) {
        const auto [error, bytes] = co_await read();
        if (error) {
            co_return failed(handshake_error_in_words(error));
        }
        bool broken = !reader.feed(std::string_view{incoming_.data(), bytes});
        while (!broken && received < replies) {
            const auto reply = reader.next(broken);
            if (!reply) {
                break;
            }
            if (!accept_handshake_reply(received++, reply->value())) {
                co_return false;
            }
            if (received > kBeforeInfo && received < replies) {
                info += reply->value().text();
                info += '\n';
            }
        }
        if (broken) {
            ++counters_.protocol_errors;
            co_return failed(is_tls_alert(incoming_)
                                 ? "the server speaks TLS at this port: the URL must be rediss://"
                                 : "the server does not speak the Redis protocol");
        }
    }
    if (settings_.to_sentinel) {
        co_return true;
    }
    server_ = ServerInfo::parse(info);
    co_return !server_.incarnation.empty() || failed("INFO does not tell the run_id of a Redis");
}

bool Link::accept_handshake_reply(std::size_t index, const Value& reply) {
    constexpr std::size_t kSetName = 1;  // an ACL may forbid it; the name is only for people
    if (!reply.is_error() || index == kSetName) {
        return true;
    }
    return failed(reply.text());
}

std::string Link::handshake_error_in_words(const boost::system::error_code& error) const {
    if (error == asio::error::eof || error == asio::error::connection_reset) {
        return keys_.tls
                   ? "the server closed the connection after the TLS handshake: it may want a "
                     "certificate from its clients (store.tls_cert)"
                   : "the server closed the connection without a word: it may want TLS "
                     "(rediss://)";
    }
    return error_in_words(error);
}

bool Link::failed(std::string_view what) {
    if (last_error_.empty()) {
        // The first is the cause; a closed socket only follows.
        const bool found = settings_.topology && settings_.topology->primary();
        last_error_ =
            (found ? "the primary " + Address{settings_.host, settings_.port}.text() + ": "
                   : std::string{}) +
            std::string{what};
    }
    return false;
}

void Link::broke(std::string_view why) {
    failed(why);
    stream_->close();
}

Link::Awaitable<void> Link::back_off() {
    if (relocated_) {
        co_return;
    }
    const unsigned doublings = std::min(failures_++, 10U);
    const auto most = std::min(settings_.backoff_min * (1 << doublings), settings_.backoff_max);
    std::uniform_int_distribution<std::int64_t> spread{most.count() / 2, most.count()};
    timer_.expires_after(std::chrono::milliseconds{spread(random_)});
    co_await timer_.async_wait(kAwait);
}

void Link::set_up(bool up) {
    if (stopping_) {
        return;
    }
    up_ = up;
    on_change(up);
}

}  // namespace holdfast::redis
