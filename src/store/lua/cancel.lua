#!lua flags=allow-oom
-- Closes a call, so that its acquire, if still on its way, does nothing, and ends the lease of the
-- holder id if no other call has claimed it. Safe to repeat.
--
-- KEYS 1 the lock's record
-- ARGV 1 holder id, 16 bytes      2 call id, 16 bytes
-- Reply {1, time}         done
--       {4, time, why}    the key is not such a lock
-- O(1): TIME, HMGET, HDEL, HSET; now and then a purge of closed ids.
--@include _record.lua
--@include _close.lua
local now = now_us()
local key, id, call = KEYS[1], ARGV[1], ARGV[2]
local record, why = read(key, 'i', 'c' .. call, 'n', 's', 'k')
if not record then
    return {4, now, why}
end
local holds = record[4] == id and record[8] == call
if holds or not record[5] then
    local verdict = holds and now < record[3] and 'h' or 'e'
    close(key, call, verdict, now, record[6], record[7], holds)
    if not record[1] then
        redis.call('HSET', key, 'v', '1')
        redis.call('PEXPIREAT', key, decimal(math.floor((now + CLOSED_KEEP_US) / 1000)))
    end
end
return {1, now}
