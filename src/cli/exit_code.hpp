#pragma once

namespace holdfast::cli {

// How the program ends. Listed in --help.
enum class ExitCode : int {
    ok = 0,
    failed = 1,           // anything not named below; health: not serving
    usage = 2,            // wrong arguments
    already_expired = 3,  // release: the lease had expired, nobody took the lock since
    superseded = 4,       // release: a later grant exists
    not_found = 5,        // no such lease; nobody holds the lock
    unavailable = 69,     // the daemon or its store cannot be reached, or the outcome is unknown
    not_obtained = 75,    // the lock is held by another
    lost = 76,            // the lease is lost
};

}  // namespace holdfast::cli
