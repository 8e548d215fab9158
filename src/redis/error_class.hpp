#pragma once

// What a RESP error says about the command that it answers.

#include <string_view>

namespace holdfast::redis {

// True if Redis refused the command before it changed anything (FAULTS.md 2c): NOSCRIPT, MOVED,
// ASK, TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN, READONLY, NOREPLICAS, MISCONF, OOM, BUSY,
// NOAUTH, NOPERM, CROSSSLOT, too many clients. Any other error, UNBLOCKED and EXECABORT among them,
// may have come in the middle.
bool definitely_not_executed(std::string_view error);

// True if the server on this connection is of no use any more: it wants to be authenticated anew,
// or is no primary. The connection is closed and made anew, which may find another server.
bool needs_reconnect(std::string_view error);

}  // namespace holdfast::redis
