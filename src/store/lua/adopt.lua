#!lua flags=allow-oom
-- Renews a lease for a station that watches it from now on; who watched it before is told.
--
-- KEYS 1 the lock's record
-- ARGV 1 holder id, 16 bytes      2 the lease's token      3 how long to keep it, us
--      4 station that asks, 8 bytes                        5 retention of the record, ms
-- Reply {1, time}                 done
--       {0, time, newest_token}   it is not this lease's (any more)
--       {4, time, why}            the key is not such a lock
-- O(1): TIME, HMGET, PEXPIREAT, HSET.
--@include _record.lua
--@include _crowd.lua
local now = now_us()
local id, ours, keep, station = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local lock, why = open(KEYS[1])
if not lock then
    return {4, now, why}
end
local one, before = find(lock, id), nil
local fields, ends
if lock.holder == id and lock.token == ours and now < lock.expiry then
    ends, before = math.max(now + keep, lock.expiry), lock.host
    fields = {'e', decimal(ends), 'a', station}
elseif one and one.token == ours and now < one.expiry then
    ends, before = math.max(now + keep, one.expiry), present(one.host)
    one.expiry, one.host = ends, station
    fields = {'h' .. id, pack(one)}
else
    return {0, now, lock.token}
end
local expires = math.floor(math.max(lock.token, ends) / 1000) + tonumber(ARGV[5])
redis.call('PEXPIREAT', KEYS[1], decimal(expires))
redis.call('HSET', KEYS[1], unpack(fields))
if before and before ~= station then
    redis.call('PUBLISH', 'holdfast:' .. before, 'm' .. id .. KEYS[1])
end
return {1, now}
