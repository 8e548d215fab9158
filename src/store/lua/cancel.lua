#!lua flags=allow-oom
-- Closes a call, so that its acquire, if still on its way, does nothing, and ends the lease of the
-- holder id unless another call has claimed it too. Safe to repeat.
--
-- KEYS 1 the lock's record       2 its plain key, if it has one
-- ARGV 1 holder id, 16 bytes      2 call id, 16 bytes     3 station that asks, 8 bytes
--      4 retention of the record, ms
-- Reply {1, time}         done
--       {4, time, why}    the key is not such a lock
-- O(1): TIME, HMGET, HSET; with tickets O(stations); now and then a purge of closed ids.
--@include _head.lua
--@include _record.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local id, call, station = ARGV[1], ARGV[2], ARGV[3]
local lock, why = open(KEYS[1], 'c' .. call)
if not lock then
    return {4, now, why}
end
coexist(lock, KEYS[2], now)
lock.must, lock.brief = true, true  -- a record of nothing but this call need not be kept for long
local one = find(lock, id)
local calls = lock.holder == id and without_call(lock.calls, call)
local shared = one and without_call(one.calls, call)
local holds, shares = calls == '', shared == ''
if calls or shared or not lock.more[1] then
    local live = (holds and now < lock.expiry and not lock.lost) or (shares and now < one.expiry)
    close(lock, call, live and 'h' or 'e', now)
end
if holds then
    drop(lock)
elseif calls then
    lock.calls = calls
elseif shares then
    redis.call('HDEL', lock.key, 'h' .. id)
    lock.units = lock.units - one.units
elseif shared then
    one.calls = shared
    set(lock, 'h' .. id, pack(one))
end
save(lock, tonumber(ARGV[4]), now)
if holds or shares then
    changed(lock.key)
    tell(lock, station, now)
end
return {1, now}
