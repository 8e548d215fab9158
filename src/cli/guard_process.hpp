#pragma once

// Inside the guard's process; see guard.hpp for its states. What goes over the socket is in records
// of one size (SOCK_SEQPACKET keeps their bounds).

#include "cli/guard.hpp"

#include <array>

namespace holdfast::cli {

// From us to the guard.
struct GuardOrder {
    enum Kind : std::uint8_t { begin, extend, give_up, signal };
    Kind kind = begin;
    int signal_number = 0;
    std::array<std::uint64_t, Guard::kMostLocks> tokens{};
    EndBy end_by;
    std::chrono::milliseconds grace{0};  // with give_up
};

// From the guard to us.
struct GuardReport {
    enum Kind : std::uint8_t { begun, ended };
    Kind kind = begun;
    pid_t group = -1;
    Guard::Ended outcome;
};

// Is the guard until it is done, then exits.
[[noreturn]] void be_guard(int socket,
                           const std::vector<std::string>& command,
                           const std::vector<std::string>& locks);

}  // namespace holdfast::cli
