#!lua flags=allow-oom
-- Ends whatever lease a holder id has and closes the id, so that an acquire which is still on its way
-- finds it closed and does nothing. Safe to repeat.
--
-- KEYS 1 the lock's record
-- ARGV 1 holder id, 16 bytes
-- Reply {1, time}         done
--       {4, time, why}    the key is not such a lock
-- O(1): TIME, HMGET, HDEL, HSET; now and then a purge of closed ids.
--@include _record.lua
--@include _close.lua
local now = now_us()
local key, id = KEYS[1], ARGV[1]
local record, why = read(key, 'i', 'c' .. id, 'n', 's')
if not record then
    return {4, now, why}
end
local holds = record[4] == id
if holds or not record[5] then
    local verdict = holds and now < record[3] and 'h' or 'e'
    close(key, id, verdict, now, record[6], record[7], holds)
    if not record[1] then
        redis.call('HSET', key, 'v', '1')
        redis.call('PEXPIREAT', key, decimal(math.floor((now + CLOSED_KEEP_US) / 1000)))
    end
end
return {1, now}
