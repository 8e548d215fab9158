#pragma once

// A connection that listens: SUBSCRIBE, and a call for each message. Messages that are published while
// it is down are lost, as with any pub/sub: who listens must be able to do without.

#include "redis/link.hpp"

#include <absl/functional/any_invocable.h>

#include <set>
#include <string>
#include <string_view>

namespace holdfast::redis {

class Subscriber final : public Link {
public:
    using OnMessage = absl::AnyInvocable<void(std::string_view channel, std::string_view payload)>;

    // `on_up` is called when all channels are subscribed. `again`: for the first time on a new
    // connection, so what was said before is lost.
    Subscriber(boost::asio::io_context& context,
               const Settings& settings,
               std::uint32_t seed,
               OnMessage on_message,
               absl::AnyInvocable<void(bool again)> on_up);

    // Keeps the channel subscribed from now on.
    void subscribe(const std::string& channel);
    void unsubscribe(const std::string& channel);
    // True if the server has confirmed every channel.
    bool hears_all() const { return up() && !fresh_ && unconfirmed_ == 0; }

    // Redis' error to the last try to subscribe; empty: it let us, or has not answered yet.
    const std::string& refused() const { return refused_; }

private:
    Awaitable<void> serve() override;
    void on_change(bool up) override;
    void on_down() override;
    void say(std::string wire);
    void flush();
    void watch_silence();
    void on_reply(const Value& reply);
    std::shared_ptr<Subscriber> self() {
        return std::static_pointer_cast<Subscriber>(shared_from_this());
    }

    OnMessage on_message_;
    absl::AnyInvocable<void(bool again)> on_up_;
    std::set<std::string> channels_;
    std::size_t unconfirmed_ = 0;  // channels asked for that the server has not confirmed yet
    std::string pending_;          // to be written
    std::string outgoing_;         // being written
    bool writing_ = false;
    bool fresh_ = false;  // since the connection came up, not all has been confirmed yet
    bool heard_ = false;  // since the last ping
    std::string refused_;
};

}  // namespace holdfast::redis
