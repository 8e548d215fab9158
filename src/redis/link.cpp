#include "redis/link.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

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

using IntOption = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;

}  // namespace

Link::Link(asio::io_context& context, const Settings& settings, std::uint32_t seed)
    : context_(context),
      settings_(settings),
      socket_(context),
      timer_(context),
      random_(seed),
      incoming_(kReadBytes) {}

void Link::start() {
    asio::co_spawn(context_, run(shared_from_this()), asio::detached);
}

void Link::stop() {
    stopping_ = true;
    up_ = false;
    boost::system::error_code ignored;  // closing cannot fail in a way that matters
    socket_.close(ignored);
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
            set_up(true);
            co_await serve();
            set_up(false);
        } else {
            ++counters_.failed_connects;
        }
        if (!stopping_) {
            on_down();
            co_await back_off();
        }
    }
}

// Up to the end of the handshake, within connect_timeout.
Link::Awaitable<bool> Link::connect() {
    connecting_ = true;
    timer_.expires_after(settings_.connect_timeout);
    timer_.async_wait([self = shared_from_this()](auto error) {
        // A timer that has fired can no longer be cancelled: it may come after the handshake.
        if (!error && self->connecting_) {
            self->last_error_ = "no answer within the connect timeout";
            boost::system::error_code ignored;
            self->socket_.close(ignored);
        }
    });
    last_error_.clear();
    bool connected = co_await open_socket();
    if (connected) {
        connected = co_await shake_hands();
    }
    connecting_ = false;
    timer_.cancel();
    co_return connected&& socket_.is_open();
}

Link::Awaitable<bool> Link::open_socket() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    if (!settings_.unix_path.empty()) {
        const asio::local::stream_protocol::endpoint endpoint{settings_.unix_path};
        const auto [error] = co_await socket_.async_connect(endpoint, kAwait);
        co_return !error || failed(error.message());
    }
    asio::ip::tcp::resolver resolver{context_};
    const auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(settings_.host, std::to_string(settings_.port), kAwait);
    if (resolve_error) {
        co_return failed(resolve_error.message());
    }
    for (const auto& entry : endpoints) {
        socket_.close(ignored);
        const asio::ip::tcp::endpoint endpoint = entry.endpoint();
        const auto [error] = co_await socket_.async_connect(endpoint, kAwait);
        if (!error) {
            socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
            socket_.set_option(asio::socket_base::keep_alive{true}, ignored);
            socket_.set_option(IntOption{kTcpUserTimeoutMs}, ignored);
            co_return true;
        }
        failed(error.message());
    }
    co_return false;
}

// All in one write; the last command, PING, proves that the server serves us.
Link::Awaitable<bool> Link::shake_hands() {
    std::string wire;
    if (settings_.password.empty()) {
        wire += format_command({"PING"});
    } else if (settings_.user.empty()) {
        wire += format_command({"AUTH", settings_.password});
    } else {
        wire += format_command({"AUTH", settings_.user, settings_.password});
    }
    wire += format_command({"CLIENT", "SETNAME", settings_.client_name});
    wire += format_command({"SELECT", std::to_string(settings_.db)});
    std::string info;
    for (const char* section : {"server", "replication"}) {
        wire += format_command({"INFO", section});
    }
    wire += format_command({"PING"});
    constexpr std::size_t kBeforeInfo = 3;
    constexpr std::size_t kReplies = 6;

    const auto [write_error, written] =
        co_await asio::async_write(socket_, asio::buffer(wire), kAwait);
    std::fill(wire.begin(), wire.end(), '\0');  // the password does not stay in memory here
    if (write_error) {
        co_return failed(write_error.message());
    }
    ReplyReader reader;
    for (std::size_t received = 0; received < kReplies;) {
        const auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(incoming_), kAwait);
        if (error) {
            co_return failed(error.message());
        }
        bool broken = !reader.feed(std::string_view{incoming_.data(), bytes});
        while (!broken && received < kReplies) {
            const auto reply = reader.next(broken);
            if (!reply) {
                break;
            }
            if (!accept_handshake_reply(received++, reply->value())) {
                co_return false;
            }
            if (received > kBeforeInfo && received < kReplies) {
                info += reply->value().text();
                info += '\n';
            }
        }
        if (broken) {
            ++counters_.protocol_errors;
            co_return failed("the server does not speak the Redis protocol");
        }
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

bool Link::failed(std::string_view what) {
    if (last_error_.empty()) {
        last_error_ = what;  // the first is the cause; a closed socket only follows
    }
    return false;
}

void Link::broke(std::string_view why) {
    failed(why);
    boost::system::error_code ignored;
    socket_.close(ignored);
}

Link::Awaitable<void> Link::back_off() {
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
