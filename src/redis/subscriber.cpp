#include "redis/subscriber.hpp"

#include <utility>

namespace holdfast::redis {
namespace {

// A server that says nothing for so long is asked; if it says nothing for as long again, the
// connection is dead.
constexpr std::chrono::seconds kSilence{5};

}  // namespace

Subscriber::Subscriber(boost::asio::io_context& context,
                       const Settings& settings,
                       std::uint32_t seed,
                       OnMessage on_message,
                       absl::AnyInvocable<void(bool again)> on_up)
    : Link(context, settings, seed), on_message_(std::move(on_message)), on_up_(std::move(on_up)) {}

void Subscriber::subscribe(const std::string& channel) {
    if (channels_.insert(channel).second && up()) {
        ++unconfirmed_;
        say(format_command({"SUBSCRIBE", channel}));
    }
}

void Subscriber::unsubscribe(const std::string& channel) {
    if (channels_.erase(channel) > 0 && up()) {
        say(format_command({"UNSUBSCRIBE", channel}));
    }
}

void Subscriber::on_change(bool up) {
    if (!up) {
        return;
    }
    unconfirmed_ = channels_.size();
    fresh_ = true;
    for (const std::string& channel : channels_) {
        pending_ += format_command({"SUBSCRIBE", channel});
    }
    heard_ = true;
    flush();
    watch_silence();
}

void Subscriber::on_down() {
    pending_.clear();
}

void Subscriber::watch_silence() {
    timer_.expires_after(kSilence);
    timer_.async_wait([self = self()](auto error) {
        if (error || !self->up()) {
            return;
        }
        if (!std::exchange(self->heard_, false)) {
            self->broke("the server is silent");  // the reader notices
            return;
        }
        self->say(format_command({"PING"}));
        self->watch_silence();
    });
}

void Subscriber::say(std::string wire) {
    pending_ += wire;
    flush();
}

void Subscriber::flush() {
    if (writing_ || pending_.empty()) {
        return;
    }
    writing_ = true;
    outgoing_ = std::exchange(pending_, {});
    write(outgoing_, [this](bool written) {
        writing_ = false;
        if (written) {
            flush();
        }
    });
}

Subscriber::Awaitable<void> Subscriber::serve() {
    ReplyReader reader;
    for (;;) {
        const auto [error, bytes] = co_await read();
        if (error) {
            broke(error_in_words(error));
            co_return;
        }
        heard_ = true;
        bool broken = !reader.feed(std::string_view{incoming_.data(), bytes});
        while (!broken) {
            const auto reply = reader.next(broken);
            if (!reply) {
                break;
            }
            if (reply->value().is_error()) {
                refused_ = reply->value().text();  // not permitted to subscribe, or so
                broke(refused_);
                co_return;
            }
            on_reply(reply->value());
        }
        if (broken) {
            ++counters_.protocol_errors;
            broke("the server broke the Redis protocol");
            co_return;
        }
    }
}

// ["subscribe", channel, count], ["message", channel, payload], ["pong", ""].
void Subscriber::on_reply(const Value& reply) {
    const std::string_view kind = reply[0].text();
    if (kind == "message") {
        on_message_(reply[1].text(), reply[2].text());
    } else if (kind == "subscribe" && unconfirmed_ > 0 && --unconfirmed_ == 0) {
        refused_.clear();
        on_up_(std::exchange(fresh_, false));
    }
}

}  // namespace holdfast::redis
