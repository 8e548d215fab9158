#pragma once

// Follows the primary of a Redis that Sentinel looks after. PrimaryVote decides; this asks and listens.
//
// To each Sentinel there are two connections, as one that has subscribed cannot ask: one is asked SENTINEL
// GET-MASTER-ADDR-BY-NAME, the other hears +switch-master. Both keep themselves up (link.hpp).
//
//   asked       when either connection comes up; each second; each 100 ms while the primary is not reached
//               -> an address: says()
//               -> an error, no such master, no answer in time, no connection: is_silent()
//   heard       +switch-master of our master: says(). An answer that was asked for before is older news,
//               and is asked for once more
//   moved       on_move is called, at once and on the loop's thread: whoever leads to the old primary drops
//               it (Link::relocate), also if it is only paused or cut off and its connections still stand.
//               What was under way there is unknown
//
// What fails here costs time, never safety: a pub/sub message that is lost is found a second later; all
// Sentinels gone leave the primary where it was; and whatever they say, a connection comes up only if the
// server there says that it is a primary (INFO). Not noticed: an old primary on the smaller side of a
// partition, together with this daemon. It calls itself master, and its Sentinels do. Then there are two
// primaries, each with daemons:
//   async   locks are granted on both
//   safe    the same, unless the old one stops by itself before the new one is open: min-replicas-to-write
//           with min-replicas-max-lag below down-after-milliseconds sees to that, for the new one grants
//           nothing for as long as any lease of the old one may last
// A crash, a pause, or a partition that leaves the daemons with the new primary is no such case.

#include "redis/connection.hpp"
#include "redis/primary_vote.hpp"
#include "redis/subscriber.hpp"
#include "redis/topology.hpp"

#include <absl/functional/any_invocable.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::redis {

class Sentinels final : public Topology {
public:
    // `from` is empty the first time.
    using OnMove = absl::AnyInvocable<void(const std::optional<Address>& from, const Address& to)>;

    // settings.sentinels says where they are.
    Sentinels(boost::asio::io_context& context, const Settings& settings, OnMove on_move);
    ~Sentinels() override;

    void start();
    // On the loop's thread, or when it runs no more.
    void stop();

    std::optional<Address> primary() const override { return vote_.primary(); }
    std::string why_unknown() const override;
    void reached(const Address& server) override;
    void failed(const Address& server) override;

    // How often the primary has moved, not counting the first time.
    std::uint64_t moves() const { return moves_; }

private:
    struct Seat {
        Address address;
        std::shared_ptr<Connection> asked;
        std::shared_ptr<Subscriber> heard;
        std::string why;             // there is no answer
        std::uint64_t messages = 0;  // +switch-master, of our master
        bool asking = false;
    };

    void add_seat(const Address& address, const Settings& settings);
    void ask(std::size_t number);
    void on_answer(std::size_t number, std::uint64_t messages, const Outcome& outcome);
    void on_message(std::size_t number, std::string_view payload);
    void silent(std::size_t number, std::string_view why);
    void tick();
    template <class Change>
    void vote(Change change);

    boost::asio::io_context& context_;
    const std::string master_;
    const std::chrono::milliseconds timeout_;
    OnMove on_move_;
    boost::asio::steady_timer timer_;
    std::vector<Seat> seats_;
    PrimaryVote vote_;
    std::uint64_t moves_ = 0;
    bool failing_ = true;  // the primary is not reached
    bool stopping_ = false;
};

}  // namespace holdfast::redis
