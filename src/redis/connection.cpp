#include "redis/connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;

// How late a command's timeout may be noticed.
constexpr std::chrono::milliseconds kTick{20};

}  // namespace

Connection::Connection(asio::io_context& context,
                       const Settings& settings,
                       std::uint32_t seed,
                       absl::AnyInvocable<void(const ServerInfo* server)> on_change)
    : Link(context, settings, seed),
      multiplexer_(settings.limits),
      tick_(context),
      changed_(std::move(on_change)) {}

void Connection::on_change(bool up) {
    changed_(up ? &server() : nullptr);
}

void Connection::on_down() {
    if (stopping_) {
        tick_.cancel();
    }
    multiplexer_.disconnected(stopping_ ? Failure::refused_closing : Failure::refused_disconnected);
}

Connection::Awaitable<void> Connection::serve() {
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
    asio::post(context_, [self = self()] {
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
    asio::async_write(socket_, asio::buffer(outgoing_), [self = self()](auto error, std::size_t) {
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
    tick_.async_wait([self = self()](auto error) {
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
