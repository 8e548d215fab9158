#pragma once

// One connection that carries commands: the thin shell around Multiplexer. Commands given to it while
// it is down are refused. When it breaks (or the server speaks no RESP, or says that it is no primary
// or wants authentication), all commands on it fail; nothing is resent. One write carries all that one
// turn of the loop appended.

#include "redis/link.hpp"

#include <optional>

namespace holdfast::redis {

class Connection final : public Link {
public:
    Connection(boost::asio::io_context& context,
               const Settings& settings,
               std::uint32_t seed,
               absl::AnyInvocable<void(const ServerInfo* server)> on_change);

    const Multiplexer& multiplexer() const { return multiplexer_; }

    // Takes the command, or says why not and leaves it untouched.
    std::optional<Failure> send(Command& command);

    // Shows the server the present password, if it is up. `refused` gets the server's error, after which
    // the connection still is who it was.
    void authenticate_anew(absl::AnyInvocable<void(std::string_view error)> refused);

private:
    Awaitable<void> serve() override;
    void on_change(bool up) override;
    void on_down() override;
    void schedule_flush();
    void flush();
    void schedule_tick();
    std::shared_ptr<Connection> self() {
        return std::static_pointer_cast<Connection>(shared_from_this());
    }

    Multiplexer multiplexer_;
    boost::asio::steady_timer tick_;  // command timeouts; looks at CLOCK_BOOTTIME when it wakes
    absl::AnyInvocable<void(const ServerInfo* server)> changed_;
    std::string outgoing_;  // what the write under way sends
    bool writing_ = false;
    bool flush_scheduled_ = false;
    bool tick_scheduled_ = false;
};

}  // namespace holdfast::redis
