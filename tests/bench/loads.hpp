#pragma once

// The loads that scenarios start as processes. Each prints the JSON that `holdfast -o json bench`
// prints.

#include <string>
#include <vector>

namespace holdfast::bench {

// Empty calls, or Lock and Unlock, by as many clients in turn.
void load_echo(const std::vector<std::string>& words);  // address, clients, ms
void load_etcd(const std::vector<std::string>& words);  // address, clients, locks (0: own), ms
// Clients that all want one lock, spread over the daemons. Reports `hand_on`: from one's sending
// Release to another's having the lock.
void load_hot(const std::vector<std::string>& words);  // addresses, clients, ms

// Sessions that acquire and release, each operation followed by the next of its slot.
void load_session(const std::vector<std::string>& words);  // address, sessions, slots of each, ms
// The same on one lock, after all but one wait for it. Stepped (measure.hpp).
void load_waiters(const std::vector<std::string>& words);  // address, sessions, slots of each, ms
// Takes locks and keeps them, over a Session or by max_hold_ms. Stepped, and does not end.
void load_leases(const std::vector<std::string>& words);  // address, session or max_hold, how many

// The scripts of Acquire and Release on Redis itself: acquire and release in turn, in each slot.
void load_redis(const std::vector<std::string>& words);  // socket, slots, ms
// One lock handed on by the LockManager over the store, without gRPC.
void load_inside(const std::vector<std::string>& words);  // url, waiters, ms

}  // namespace holdfast::bench
