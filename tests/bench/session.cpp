// Batched acquires and releases over Sessions, beside the same scripts pipelined by Redis' client.

#include "bench/report.hpp"
#include "bench/scenarios.hpp"
#include "bench/servers.hpp"

namespace holdfast::bench {
namespace {

constexpr double kOfRaw = 0.7;
constexpr double kNodeRedlockPairs = 34'000;  // of another machine, hence beside kOfRaw only a hint
constexpr std::size_t kSlots = 512;           // operations under way

Subject sessions(Holdfast& holdfast, std::size_t count) {
    return {"holdfast, " + std::to_string(count) + (count == 1 ? " Session" : " Sessions"),
            [&holdfast, count](auto time) {
                return run_load({this_program(),
                                 "load",
                                 "session",
                                 holdfast.daemon().address(),
                                 std::to_string(count),
                                 std::to_string(kSlots / count),
                                 std::to_string(time.count())},
                                holdfast.watched());
            }};
}

}  // namespace

void measure_session() {
    RawRedis raw;
    Holdfast holdfast;
    std::vector<Subject> subjects{
        {"EVALSHA, pipelined", [&](auto time) { return raw.run(kSlots, time); }},
        sessions(holdfast, 1),
        sessions(holdfast, 4)};
    run_rounds(subjects, 2s);
    show("512 OPERATIONS UNDER WAY", subjects);
    Goals goals;
    goals.at_least("one Session's operations/s, of raw EVALSHA",
                   speed_ratio(subjects[1], subjects[0]),
                   kOfRaw);
    goals.at_least("pairs/s, of node-redlock's",
                   subjects[1].highest(&Round::per_second) / 2,
                   kNodeRedlockPairs,
                   0);
    goals.at_most("scripts per operation", subjects[1].median(&Round::scripts), 1.02, 3);
    goals.show();
}

}  // namespace holdfast::bench
