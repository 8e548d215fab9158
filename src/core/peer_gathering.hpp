#pragma once

// The answers to the questions that one station has asked.
//
//   open      open(): answers may come before it is known who was asked, and are kept
//             -> expecting, expect(): who was asked is known, and so is who certainly did not hear
//             -> gone, abandon(): nobody could be asked
//   expecting -> gone: all who heard have answered, or 200 ms have passed; the rest is silent
//
// An answer to no open question, or of a station that was not asked, is dropped.

#include "core/peers.hpp"
#include "core/timers.hpp"

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <map>
#include <memory>
#include <set>

namespace holdfast::core {

class PeerGathering {
public:
    static constexpr Milliseconds kPatience{200};
    static constexpr std::size_t kMostOpen = 64;
    static constexpr std::size_t kMostStations = 10'000;

    using Finished = absl::AnyInvocable<void(PeerAnswers)>;
    struct Asked {
        std::string station;
        std::string daemon;
        bool heard = true;  // somebody listened there
    };

    PeerGathering(const Clock& clock, TimerQueue& timers) : clock_(clock), timers_(timers) {}

    // False, and nothing, if too many are open. Not an id that is open.
    bool open(const std::string& id, Finished done);
    void expect(const std::string& id, const std::vector<Asked>& asked);
    void abandon(const std::string& id) { questions_.erase(id); }

    void answered(const std::string& id, const std::string& station, PeerAnswer answer);

    std::size_t size() const { return questions_.size(); }

private:
    struct Question {
        Question(Finished answer, TimerQueue& timers) : done(std::move(answer)), patience(timers) {}
        Finished done;
        Timer patience;
        bool expecting = false;
        std::map<std::string, std::string> daemons;  // of the stations that were asked
        std::map<std::string, PeerAnswer> answers;   // by station
        std::set<std::string> awaited;               // heard, and did not answer yet
    };

    void finish_if_complete(const std::string& id);
    void finish(const std::string& id);

    const Clock& clock_;
    TimerQueue& timers_;
    absl::flat_hash_map<std::string, std::unique_ptr<Question>> questions_;
};

}  // namespace holdfast::core
