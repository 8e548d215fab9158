#!lua
-- TRY at one node of a quorum: see quorum_lock_store.hpp.
--
-- KEYS 1 the lock    2 the node
-- ARGV 1 what is known of the node's memory; from 2 on what is wanted: see _quorum_try.lua
-- Reply of try() in _quorum_try.lua; or
--       {5, now, why}       the key is no such lock
--       {7, now, wait_us}   the node takes no part, for so long at least
-- O(1): TIME, HMGET twice, HSET twice, PEXPIREAT, PUBLISH; with tickets O(stations).
--@include _head.lua
--@include _quorum.lua
--@include _quorum_try.lua
local now = now_us()
local node, wait = take_part(KEYS[2], ARGV[1], now)
if not node then
    return {7, now, wait}
end
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
return try(lock, node, wanted(2), now)
