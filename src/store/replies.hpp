#pragma once

// From the scripts' replies (described in lua/*.lua) to the port's answers. A reply of an
// unexpected shape is an error of the caller's making or a foreign server's: it gives `unknown`,
// never a grant.

#include "core/lock_store.hpp"
#include "redis/reply.hpp"

namespace holdfast::store {

core::StoreResult<core::AcquireAnswer> decode_acquire(const redis::Value& reply);
core::StoreResult<core::ReleaseAnswer> decode_release(const redis::Value& reply);
// Of scripts that only say that they have run: cancel, leave.
core::StoreResult<std::monostate> decode_done(const redis::Value& reply);
// Of convert.lua and adopt.lua.
core::StoreResult<core::RenewAnswer> decode_take_over(const redis::Value& reply,
                                                      const core::Lease& lease);
// Of revoke.lua.
core::StoreResult<std::vector<core::HolderState>> decode_revoke(const redis::Value& reply);
core::StoreResult<std::vector<core::RenewAnswer>> decode_renew(const redis::Value& reply,
                                                               std::size_t expected);
// One entry of inspect.lua's reply; empty if there is no record.
core::StoreResult<std::optional<core::LockState>> decode_state(const core::LockName& name,
                                                               const redis::Value& entry);

// True for acquire.lua's "too late, nothing was done".
bool is_too_late(const redis::Value& reply);

// True for every script's "the memory is lost": something was not done.
bool says_lost(const redis::Value& reply);

core::StoreError unexpected_reply();

}  // namespace holdfast::store
