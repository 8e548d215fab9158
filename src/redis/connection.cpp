#include "redis/connection.hpp"

#include <boost/asio/post.hpp>

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
        const auto [error, bytes] = co_await read();
        if (error) {
            broke(error_in_words(error));
            co_return;
        }
        switch (multiplexer_.received({incoming_.data(), bytes}, boot_now())) {
            case Multiplexer::Health::good:
                if (multiplexer_.has_output()) {
                    schedule_flush();  // what was held back
                }
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

// Between other commands: those before it run as the old user, those after it as the new one. If the
// answer is late or lost, the connection is one of the two.
void Connection::authenticate_anew(absl::AnyInvocable<void(std::string_view error)> refused) {
    Command command{access_->keys().auth_command(),
                    settings_.connect_timeout,
                    [refused = std::move(refused)](const Outcome& outcome) mutable {
                        const auto* reply = std::get_if<Reply>(&outcome);
                        if (reply != nullptr && (*reply)->is_error()) {
                            refused((*reply)->text());
                        }
                    },
                    {}};
    send(command);  // if it is down, it will show the password when it comes up
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
    write(outgoing_, [this](bool written) {
        writing_ = false;
        if (written) {
            flush();
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
