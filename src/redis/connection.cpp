#include "redis/connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <netinet/tcp.h>
#include <utility>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kReadBytes = 64 * 1024;
// How late a command's timeout may be noticed.
constexpr std::chrono::milliseconds kTick{20};
// Unacknowledged data for so long breaks the connection, instead of the kernel's quarter of an
// hour.
constexpr int kTcpUserTimeoutMs = 5000;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

using IntOption = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;

}  // namespace

Connection::Connection(asio::io_context& context,
                       const Settings& settings,
                       std::uint32_t seed,
                       absl::AnyInvocable<void()> on_change)
    : context_(context),
      settings_(settings),
      multiplexer_(settings.limits),
      socket_(context),
      timer_(context),
      tick_(context),
      random_(seed),
      on_change_(std::move(on_change)),
      incoming_(kReadBytes) {}

void Connection::start() {
    asio::co_spawn(context_, run(shared_from_this()), asio::detached);
}

void Connection::stop() {
    stopping_ = true;
    up_ = false;
    boost::system::error_code ignored;  // closing cannot fail in a way that matters
    socket_.close(ignored);
    timer_.cancel();
    tick_.cancel();
    multiplexer_.disconnected(Failure::refused_closing);
}

// `self` lives in the coroutine's frame and keeps the connection while it runs.
Connection::Awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
    co_await self->keep_up();
}

Connection::Awaitable<void> Connection::keep_up() {
    while (!stopping_) {
        // Not `if (co_await ...)`: GCC 12 miscompiles a co_await in a condition inside a loop.
        const bool connected = co_await connect();
        if (connected) {
            ++counters_.connects;
            failures_ = 0;
            set_up(true);
            co_await read_until_broken();
            set_up(false);
        } else {
            ++counters_.failed_connects;
        }
        if (!stopping_) {
            multiplexer_.disconnected(Failure::refused_disconnected);
            co_await back_off();
        }
    }
}

// Up to the end of the handshake, within connect_timeout.
Connection::Awaitable<bool> Connection::connect() {
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

Connection::Awaitable<bool> Connection::open_socket() {
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
Connection::Awaitable<bool> Connection::shake_hands() {
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
    wire += format_command({"PING"});
    constexpr std::size_t kReplies = 4;

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
        }
        if (broken) {
            ++counters_.protocol_errors;
            co_return failed("the server does not speak the Redis protocol");
        }
    }
    co_return true;
}

bool Connection::accept_handshake_reply(std::size_t index, const Value& reply) {
    constexpr std::size_t kSetName = 1;  // an ACL may forbid it; the name is only for people
    if (!reply.is_error() || index == kSetName) {
        return true;
    }
    return failed(reply.text());
}

bool Connection::failed(std::string_view what) {
    if (last_error_.empty()) {
        last_error_ = what;  // the first is the cause; a closed socket only follows
    }
    return false;
}

Connection::Awaitable<void> Connection::read_until_broken() {
    for (;;) {
        const auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(incoming_), kAwait);
        if (error) {
            broke(error.message());
            co_return;
        }
        switch (multiplexer_.received({incoming_.data(), bytes}, boot_now())) {
            case Multiplexer::Health::good:
                break;
            case Multiplexer::Health::protocol_error:
                ++counters_.protocol_errors;
                broke("the server broke the Redis protocol");
                co_return;
            case Multiplexer::Health::wants_reconnect:
                broke("the server is no primary, or wants authentication");
                co_return;
        }
    }
}

void Connection::broke(std::string why) {
    failed(why);
    boost::system::error_code ignored;
    socket_.close(ignored);
}

Connection::Awaitable<void> Connection::back_off() {
    const unsigned doublings = std::min(failures_++, 10U);
    const auto most = std::min(settings_.backoff_min * (1 << doublings), settings_.backoff_max);
    std::uniform_int_distribution<std::int64_t> spread{most.count() / 2, most.count()};
    timer_.expires_after(std::chrono::milliseconds{spread(random_)});
    co_await timer_.async_wait(kAwait);
}

void Connection::set_up(bool up) {
    if (stopping_) {
        return;
    }
    up_ = up;
    on_change_();
}

std::optional<Failure> Connection::send(Command& command) {
    if (!up_) {
        return stopping_ ? Failure::refused_closing : Failure::refused_disconnected;
    }
    if (const auto refused = multiplexer_.push(command, boot_now())) {
        return refused;
    }
    schedule_flush();
    schedule_tick();
    return {};
}

void Connection::schedule_flush() {
    if (flush_scheduled_ || writing_) {
        return;
    }
    flush_scheduled_ = true;
    asio::post(context_, [self = shared_from_this()] {
        self->flush_scheduled_ = false;
        self->flush();
    });
}

void Connection::flush() {
    if (writing_ || !up_ || !multiplexer_.has_output()) {
        return;
    }
    writing_ = true;
    ++counters_.writes;
    multiplexer_.stage(outgoing_);
    asio::async_write(
        socket_, asio::buffer(outgoing_), [self = shared_from_this()](auto error, std::size_t) {
            self->writing_ = false;
            if (error) {
                self->broke(error.message());  // the reader notices and cleans up
            } else {
                self->flush();
            }
        });
}

void Connection::schedule_tick() {
    if (tick_scheduled_) {
        return;
    }
    tick_scheduled_ = true;
    tick_.expires_after(kTick);
    tick_.async_wait([self = shared_from_this()](auto error) {
        self->tick_scheduled_ = false;
        if (error) {
            return;
        }
        self->multiplexer_.expire(boot_now());
        if (self->multiplexer_.in_flight() > 0) {
            self->schedule_tick();
        }
    });
}

}  // namespace holdfast::redis
