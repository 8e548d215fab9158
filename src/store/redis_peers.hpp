#pragma once

// The other stations on the same Redis: who is there, what they are asked, and what they are given.
//
//   registered   start(), and every 3 s: the station is in a set that all share (lua/stations.lua), in a
//                key that no lock can have. Who is not heard of for 10 s is there no more
//                -> gone: leave()
//   a question   one script publishes it to the inbox of each station that is there and says who they are;
//                each publishes its answer to the asker's inbox (core/peer_gathering.hpp)
//   an offer     of leases that this station renews for nobody who listens, as it is going away: to a
//                station of another daemon, which takes them over; the script that does so tells this
//                station (Notice::moved). Nothing else acknowledges it. It may be lost: offer again
//
// Pub/sub may lose all of these; a lost question or answer makes a daemon count as silent.

#include "core/backoff.hpp"
#include "core/holder_ids.hpp"
#include "core/peer_gathering.hpp"
#include "core/timers.hpp"
#include "store/peer_codec.hpp"
#include "store/script_runner.hpp"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::store {

class RedisPeers final : public core::Peers {
public:
    struct Options {
        std::string prefix;                // that of the locks' keys
        std::string station;               // this one
        std::string daemon;                // its daemon's name
        core::Milliseconds timeout{1000};  // of one command
        std::uint32_t seed = 1;
    };
    // What this station does when it is asked. On the loop's thread.
    struct Local {
        std::function<core::PeerAnswer(const core::PeerQuestion&)> answer;
        std::function<void(Offers::Offer)> adopt;
        std::function<std::int64_t(core::Instant)> store_time;  // RedisLockStore::store_time
    };

    RedisPeers(redis::Client& client,
               const core::Clock& clock,
               core::TimerQueue& timers,
               core::HolderIdSource& ids,
               Options options,
               Local local);

    // Of the set of stations.
    static std::string key_of(const std::string& prefix);

    // Registers now, and again and again from now on. To be called when a connection comes up, too.
    void start();
    // Takes the station out. `done` is called when the store has answered, or does not.
    void leave(absl::AnyInvocable<void()> done);

    void ask(core::PeerQuestion question, core::StoreDone<core::PeerAnswers> done) override;

    // What came to this station's inbox; false if it is no message of a station.
    bool heard(std::string_view payload);

    // Offers these to a station of another daemon, another one each time if there are several; false if
    // none is there.
    bool offer(const std::vector<Offers::Offer>& leases);

private:
    using Reply = core::StoreResult<redis::Reply>;
    void run(std::string_view in,
             std::string_view out,
             std::string_view message,
             ScriptRunner::Done done);
    void learn(const redis::Value& reply);
    void take_up(const Offers& offers);
    void publish(std::string_view station, const std::string& message);

    const core::Clock& clock_;
    core::HolderIdSource& ids_;
    Options options_;
    Local local_;
    ScriptRunner runner_;
    ScriptPair script_;
    std::string key_;
    std::string member_;
    core::PeerGathering gathering_;
    core::Random random_;
    core::Timer refresh_;
    bool left_ = false;
    std::vector<core::PeerGathering::Asked> known_;  // as of the last reply
};

}  // namespace holdfast::store
