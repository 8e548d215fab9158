#!lua flags=allow-oom
-- The end of an attempt that was not granted, at one node: frees the lock if the attempt is the owner and
-- nobody else can believe in its lease; the fence is then what it was before the attempt. Or only takes back a station's ticket. Safe to repeat.
--
-- KEYS 1 the lock
-- ARGV 1 nonce, or ''   2 1: its TRY may still come, and shall do nothing then
--      3 station        4 its ticket from now on, or ''; - to leave it as it is
-- Reply {1, now} or {5, now, why}
-- O(1): TIME, HMGET, HSET; with tickets O(stations).
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
local nonce = ARGV[1]
if nonce ~= '' then
    if lock.nonce == nonce and (lock.believed == '0' or lock.token == 0) then
        drop(lock)
        lock.fence, lock.memory = lock.before, lock.before_memory
    end
    if ARGV[2] == '1' then
        close(lock, nonce, 'e', now)
    end
end
if ARGV[4] ~= '-' then
    set_ticket(lock, ARGV[3], ARGV[4], now)
end
save(lock, now)
return {1, now}
