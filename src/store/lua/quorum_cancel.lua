#!lua flags=allow-oom
-- Closes a call at one node, so that its TRY, if still on its way, does nothing, and ends the lease of the
-- holder id unless another call may have claimed it, or it has been renewed, so that it was told to somebody.
-- Safe to repeat.
--
-- KEYS 1 the lock
-- ARGV 1 holder id   2 call id   3 station that asks
-- Reply {1, now} or {5, now, why}
-- O(1): TIME, HMGET, HSET, PUBLISH; with tickets O(stations).
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
local freed = false
local at = lock.holder == ARGV[1] and has_call(lock.calls, ARGV[2])
if at then
    if #lock.calls > 16 then
        lock.calls = string.sub(lock.calls, 1, at - 1) .. string.sub(lock.calls, at + 16)
    elseif lock.believed ~= 'r' then
        drop(lock)
        freed = true
    end
end
close(lock, ARGV[2], 'e', now)
save(lock, now)
if freed then
    changed(lock.key)
    tell(lock, ARGV[3], now)
end
return {1, now}
