#!lua
-- Grants a lock, or again to the holder who has it; or leaves a ticket and says when to look again.
--
-- KEYS 1 the lock's record    2 the canary
-- ARGV 1 station that asks, 8 bytes    2 floor: a token already seen   3 retention of the record, ms
--      4 to 17 what is wanted: see _take.lua
--      18 what is known of the store's memory: see _memory.lua
--      19 not_after: do nothing if TIME is later, us (last, 16 digits: the caller may rewrite it)
-- Reply {0, time}  too late, nothing was done
--       {7, time}  the memory is lost, nothing was done
--       else as of take() in _take.lua
-- O(1): TIME, HMGET, HSET, PEXPIREAT; with tickets O(stations); when the earliest of shared holders or
-- permits may have expired, O(holders).
--@include _record.lua
--@include _memory.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
if now > tonumber(ARGV[19]) then
    return {0, now}
end
local closed = closed_for(KEYS[2], ARGV[18], now)
if not closed then
    return {7, now}
end
local want = wanted(4, ARGV[1])
local lock, why = open(KEYS[1], 'c' .. want.id, 'c' .. want.call)
if not lock then
    return {4, now, why}
end
return take(lock, want, closed, lock.more[1] or lock.more[2], now, tonumber(ARGV[2]), tonumber(ARGV[3]))
