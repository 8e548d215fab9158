#pragma once

// What scripts publish, from where it is to be heard: one Redis, or the nodes of a quorum, each of which says
// the same (quorum_echoes.hpp).

#include "redis/subscriber.hpp"
#include "store/quorum_echoes.hpp"

#include <absl/functional/any_invocable.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

class Inbox {
public:
    using OnMessage = absl::AnyInvocable<void(std::string_view channel, std::string_view payload)>;
    // By how many nodes a message has to be said, of several.
    using Wanted = std::function<std::size_t(std::string_view payload)>;

    // `on_up` as of Subscriber; of several, when as many as `quorum` hear all.
    Inbox(boost::asio::io_context& context,
          const core::Clock& clock,
          const std::vector<redis::Settings>& where,
          std::size_t quorum,
          std::uint32_t seed,
          Wanted wanted,
          OnMessage on_message,
          absl::AnyInvocable<void(bool again)> on_up);

    void start();
    void stop();
    void relocate();

    void subscribe(const std::string& channel);
    void unsubscribe(const std::string& channel);
    bool hears_all() const;
    // Redis' error to the last try to subscribe; empty: it let us, or has not answered yet.
    std::string refused() const;

private:
    std::size_t hearing() const;
    void on_up(bool again);

    std::size_t quorum_;
    Wanted wanted_;
    OnMessage on_message_;
    absl::AnyInvocable<void(bool again)> on_up_;
    QuorumEchoes echoes_;
    std::vector<std::shared_ptr<redis::Subscriber>> subscribers_;
};

}  // namespace holdfast::store
