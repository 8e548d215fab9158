#include "store/inbox.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::store {

Inbox::Inbox(boost::asio::io_context& context,
             const core::Clock& clock,
             const std::vector<redis::Settings>& where,
             std::size_t quorum,
             std::uint32_t seed,
             Wanted wanted,
             OnMessage on_message,
             absl::AnyInvocable<void(bool again)> on_up)
    : quorum_(quorum),
      wanted_(std::move(wanted)),
      on_message_(std::move(on_message)),
      on_up_(std::move(on_up)) {
    const bool several = where.size() > 1;
    for (std::size_t node = 0; node < where.size(); ++node) {
        subscribers_.push_back(std::make_shared<redis::Subscriber>(
            context,
            where[node],
            seed + static_cast<std::uint32_t>(node),
            [this, &clock, node, several](std::string_view channel, std::string_view payload) {
                if (!several || echoes_.heard(node, payload, wanted_(payload), clock.now())) {
                    on_message_(channel, payload);
                }
            },
            [this](bool again) { this->on_up(again); }));
    }
}

void Inbox::on_up(bool again) {
    if (hearing() >= quorum_) {
        on_up_(again);
    }
}

void Inbox::start() {
    for (const auto& subscriber : subscribers_) {
        subscriber->start();
    }
}

void Inbox::stop() {
    for (const auto& subscriber : subscribers_) {
        subscriber->stop();
    }
}

void Inbox::relocate() {
    for (const auto& subscriber : subscribers_) {
        subscriber->relocate();
    }
}

void Inbox::subscribe(const std::string& channel) {
    for (const auto& subscriber : subscribers_) {
        subscriber->subscribe(channel);
    }
}

void Inbox::unsubscribe(const std::string& channel) {
    for (const auto& subscriber : subscribers_) {
        subscriber->unsubscribe(channel);
    }
}

std::size_t Inbox::hearing() const {
    return static_cast<std::size_t>(
        std::count_if(subscribers_.begin(), subscribers_.end(), [](const auto& subscriber) {
            return subscriber->hears_all();
        }));
}

bool Inbox::hears_all() const {
    return hearing() >= quorum_;
}

std::string Inbox::refused() const {
    for (const auto& subscriber : subscribers_) {
        if (!subscriber->refused().empty()) {
            return subscriber->refused();
        }
    }
    return {};
}

}  // namespace holdfast::store
