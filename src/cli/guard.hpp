#pragma once

// A process that runs a command and ends it in time, whatever becomes of us: the guard. It is forked
// before there are threads, holds no connection and no lock, and knows only the clock.
//
//   us -- socket --> guard -- parent of --> the command, leader of a process group of its own
//
// States of the guard:
//   waiting   for begin           -> running; our end closes -> gone
//   running   the command runs; extend moves its deadline
//             -> ending, when `term_at` comes, on give_up, or when our end closes
//             -> sweeping, when the command ends
//   ending    SIGTERM has gone to the group, SIGKILL goes at the deadline's `kill_at`, or kGrace
//             after the SIGTERM if that is earlier, or as soon as give_up says
//             -> sweeping, when the command ends
//   sweeping  what is left of the group gets SIGTERM, then SIGKILL, in the same way
//             -> gone, when nobody is left; we learn how the command ended
//
// Failures: we are killed: the socket closes, the guard ends the command. We are stopped: the
// deadline comes. The guard is killed: the kernel kills the command (PR_SET_PDEATHSIG), and we the
// rest of its group. Not covered: both are killed, when the kernel kills the command, but the other
// processes of its group run on (the guard has a name of its own, so that `pkill -9 holdfast` does not
// reach it; `pkill -9 -f` does); the guard itself is stopped (SIGSTOP); a process of the command leaves
// the group (setsid) or is another user's (sudo).
//
// Times are on CLOCK_BOOTTIME, which goes on while the machine sleeps. When it wakes up after the
// deadline, the group is killed at once.

#include "cli/boot_clock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace holdfast::cli {

// When the command must be asked to end, and when it is killed.
struct EndBy {
    BootTime term_at{};
    BootTime kill_at{};
};

class Guard {
public:
    static constexpr std::chrono::seconds kGrace{5};  // between SIGTERM and SIGKILL, at most
    static constexpr std::chrono::milliseconds kNoGrace{
        100};  // if another may have the lock already

    // Forks; the command waits for begin(). The process must have one thread. Throws
    // std::system_error.
    Guard(const std::vector<std::string>& command, const std::vector<std::string>& locks);
    ~Guard();  // ends the command if it runs
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    static constexpr std::size_t kMostLocks = 64;  // as AcquireAll has it

    // Runs the command. Its environment has HOLDFAST_LOCK and HOLDFAST_TOKEN, those of the first lock;
    // HOLDFAST_LOCKS, a name a line (no name has a line break in it); and HOLDFAST_TOKENS, in the same
    // order, with a space between. `tokens` are as many as the locks. From here on SIGINT, SIGTERM,
    // SIGHUP and SIGQUIT go to the command's group instead of ending us.
    void begin(const std::vector<std::uint64_t>& tokens, EndBy end_by);
    void extend(EndBy end_by);
    // SIGTERM to the command, which may still take until its deadline.
    void ask_to_end();
    // The lock is lost: SIGTERM now, SIGKILL after `grace` at the latest, also if the command is being
    // ended already.
    void give_up(std::chrono::milliseconds grace);

    struct Ended {
        int code = 0;         // the command's exit code, or 128 + the signal that ended it
        bool in_time = true;  // false: it was made to end, by term_at, give_up or a lost guard
        bool seen = true;     // false: killed with its guard, and nobody saw the group end
    };
    // Waits until `until`, or until `wake` (-1: none) is readable; empty if the command still runs then.
    std::optional<Ended> wait(BootTime until, int wake = -1);

private:
    int socket_ = -1;
    pid_t pid_ = -1;    // the guard's
    pid_t group_ = -1;  // the command's, as soon as it is known
};

}  // namespace holdfast::cli
