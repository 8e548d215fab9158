#!lua flags=allow-oom
-- Renews a lease for a station that watches it from now on; who watched it before is told.
--
-- KEYS 1 the lock's record      2 the canary                3 its plain key, if it has one
-- ARGV 1 holder id, 16 bytes      2 the lease's token      3 how long to keep it, us
--      4 station that asks, 8 bytes                        5 retention of the record, ms
--      6 what is known of the store's memory: see _memory.lua
--      7 only if this station has watched it so far, or the one that asks: the answer may have been lost;
--        empty: whoever did
-- Reply {1, time, token, mode}    done; as it is held now: mode x, s or p
--       {0, time, newest_token}   it is not this lease's (any more)
--       {4, time, why}            the key is not such a lock
--       {9, time}                 it was revoked, and is not renewed any more; or another watches it
--       {7, time}                 the memory is lost, nothing was done
--       {8, time, wait_us}        what stands is not certain yet, as the memory was lost
-- O(1): TIME, HMGET, HSET.
--@include _head.lua
--@include _record.lua
--@include _memory.lua
--@include _crowd.lua
local now = now_us()
local wait = closed_for(KEYS[2], ARGV[6], now)
if not wait then
    return {7, now}
elseif wait > 0 then
    return {8, now, wait}
end
local id, ours, keep, station = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local lock, why = open(KEYS[1])
if not lock then
    return {4, now, why}
end
coexist(lock, KEYS[3], now)
local one, before = find(lock, id), nil
local ends, token, mode
if owns(lock, id, ours) and now < lock.expiry and not lock.lost then
    ends, before = renewed_until(lock.expiry, lock.closes, now, keep), lock.host
    token, mode = lock.token, 'x'
elseif one and not lock.plain and is_lease(one.token, one.was, ours) and now < one.expiry then
    ends, before = renewed_until(one.expiry, one.closes, now, keep), present(one.host)
    token, mode = one.token, lock.mode
else
    return {0, now, lock.token}
end
if not ends or (ARGV[7] ~= '' and before ~= ARGV[7] and before ~= station) then
    return {9, now}
end
renew(lock, mode ~= 'x' and one, id, ends, station)
save(lock, tonumber(ARGV[5]), ends)
if before and before ~= station then
    redis.call('PUBLISH', 'holdfast:' .. before, 'm' .. id .. KEYS[1])
end
return {1, now, token, mode}
