// Runs seeds: a fixed share of time in ./dev test, or the seeds that the environment names.
//   HOLDFAST_SIM_SEEDS=FROM-TO   these seeds (one: the run that failed, again)
//   HOLDFAST_SIM_TRACE=1         every step to stderr
//   HOLDFAST_SIM_SECONDS=N       so long for each test, instead of 8 s

#include "core/plant.hpp"
#include "world.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

std::string environment(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : otherwise;
}

double drift_of(std::uint64_t seed) {
    return seed % 2 == 0 ? 0.02 : 0.0002;
}

// Runs worlds of consecutive seeds; the story of the first that fails.
template <class Make>
std::string run_seeds(Make make) {
    const std::string seeds = environment("HOLDFAST_SIM_SEEDS", "");
    const std::chrono::seconds budget{std::stoi(environment("HOLDFAST_SIM_SECONDS", "8"))};
    const std::uint64_t first = seeds.empty() ? 1 : std::stoull(seeds);
    const std::uint64_t last =
        seeds.empty() ? UINT64_MAX : std::stoull(seeds.substr(seeds.find('-') + 1));
    const auto until = std::chrono::steady_clock::now() + budget;
    std::uint64_t grants = 0;
    std::uint64_t conversions = 0;
    std::uint64_t seed = first;
    for (; seed <= last && (!seeds.empty() || std::chrono::steady_clock::now() < until); ++seed) {
        World::Options options = make(seed);
        options.trace = !environment("HOLDFAST_SIM_TRACE", "").empty();
        World world{options};
        const std::string failure = world.run();
        if (!failure.empty()) {
            return failure;
        }
        grants += world.grants();
        conversions += world.conversions();
    }
    std::cout << seed - first << " seeds, " << grants << " grants, " << conversions
              << " conversions\n";
    return "";
}

TEST(Simulation, WithoutFaultsEverybodyIsServedInOrder) {
    EXPECT_EQ(run_seeds([](std::uint64_t seed) {
                  return World::Options{.seed = seed, .busy = 10s, .faults = false};
              }),
              "");
}

TEST(Simulation, ExclusiveLocksUnderFaults) {
    EXPECT_EQ(run_seeds([](std::uint64_t seed) {
                  return World::Options{
                      .seed = seed, .daemons = 2 + seed % 2, .locks = 1, .drift = drift_of(seed)};
              }),
              "");
}

TEST(Simulation, AllModesUnderFaults) {
    EXPECT_EQ(run_seeds([](std::uint64_t seed) {
                  return World::Options{
                      .seed = seed, .clients = 12, .locks = 3, .drift = drift_of(seed)};
              }),
              "");
}

// Faults on purpose: each must be found, and soon.
class Planted : public testing::Test {
protected:
    ~Planted() override { core::planted = core::Plant::none; }

    static std::string found_with(const std::vector<Plant>& in_scripts,
                                  std::uint64_t most_seeds = 600,
                                  double long_holds = 0.2) {
        for (std::uint64_t seed = 1; seed <= most_seeds; ++seed) {
            World world{{.seed = seed,
                         .daemons = 2,
                         .clients = 10,
                         .locks = 1 + 2 * (seed % 2),
                         .long_holds = long_holds,
                         .plants = in_scripts}};
            const std::string failure = world.run();
            if (!failure.empty()) {
                std::cout << failure.substr(0, failure.find('\n')) << '\n';
                return failure;
            }
        }
        return "";
    }
};

TEST_F(Planted, NothingIsNotFound) {
    EXPECT_EQ(found_with({}, 60), "");
}

TEST_F(Planted, ADeadlineFromTheReply) {
    core::planted = core::Plant::deadline_from_reply;
    EXPECT_NE(found_with({}), "");
}

TEST_F(Planted, AnUnknownRenewalExtends) {
    core::planted = core::Plant::unknown_renewal_extends;
    EXPECT_NE(found_with({}, 600, 0.9), "");
}

TEST_F(Planted, AGrantToOneWhoHasGone) {
    core::planted = core::Plant::grants_to_nobody;
    EXPECT_NE(found_with({}), "");
}

TEST_F(Planted, ReleaseWithoutOwnerCheck) {
    EXPECT_NE(
        found_with({{"if owns(lock, id, ours) then\n    code", "if lock.holder then\n    code"},
                    {"and string.sub(seen[2] or '', 1, 16) == id\n        and "
                     "tonumber(string.sub(seen[1], 3, 18)) == ours",
                     "and (seen[2] or '') ~= ''"}}),
        "");
}

TEST_F(Planted, NoClosedIds) {
    EXPECT_NE(found_with({{"'c' .. id, verdict .. decimal(now))", "'-', '')"},
                          {"'c' .. id, 'h' .. decimal(now))", "'-', '')"}}),
              "");
}

TEST_F(Planted, TicketsOfOthersAreNotLookedAt) {
    EXPECT_NE(found_with({{"local other, waiting = ahead(lock, want, now)",
                           "local other, waiting = nil, 0"}}),
              "");
}

TEST_F(Planted, ARetryGetsANewLease) {
    EXPECT_NE(found_with({{"if lock.holder == want.id and now < lock.expiry and", "if false and"}}),
              "");
}

TEST_F(Planted, AConversionWithoutANewToken) {
    EXPECT_NE(found_with({{"lock.token = math.max(lock.token + 1, now, floor + 1)",
                           "lock.token = want.mode == 'u' and lock.token or math.max(lock.token + "
                           "1, now, floor + 1)"}}),
              "");
}

TEST_F(Planted, AnUpgradeBesideOtherReaders) {
    EXPECT_NE(found_with({{"return lock.units <= 1", "return true"}}), "");
}

TEST_F(Planted, GrantsGoOnAfterTheMemoryIsLost) {
    EXPECT_NE(found_with({{"return open_at == SEALED and LOOK_AGAIN or math.max(0, open_at - now)",
                           "return 0"}}),
              "");
}

TEST_F(Planted, ABackupLoadedInPlaceIsNotNoticed) {
    EXPECT_NE(found_with({{"return beat > string.sub(ring, -16)", "return false"}}), "");
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
    World first{{.seed = 7}};
    World second{{.seed = 7}};
    EXPECT_EQ(first.run(), second.run());
    EXPECT_EQ(first.commands(), second.commands());
}

}  // namespace
}  // namespace holdfast::sim
