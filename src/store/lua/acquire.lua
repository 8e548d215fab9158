#!lua
-- Grants an exclusive lock if it is free, or again to the holder who has it.
--
-- KEYS 1 the lock's record
-- ARGV 1 holder id, 16 bytes      2 call id, 16 bytes
--      3 how long to keep the lease, us                               4 floor: a token already seen
--      5 owner                    6 metadata                          7 retention of the record, ms
--      8 not_after: do nothing if TIME is later, us (last, 16 digits: the caller may rewrite it)
-- Reply {0, time}                          too late, nothing was done
--       {1, time, token}                   granted
--       {2, time, token, left_us, owner}   busy: who holds it
--       {3, time}                          the holder id or the call id has been closed
--       {4, time, why}                     the key is not such a lock
-- O(1): TIME, HMGET, HSET, PEXPIREAT. A repeat writes too, so that WAIT covers it.
--@include _record.lua
local now = now_us()
if now > tonumber(ARGV[8]) then
    return {0, now}
end
local key, id, call = KEYS[1], ARGV[1], ARGV[2]
local record, why = read(key, 'i', 'c' .. id, 'c' .. call, 'k')
if not record then
    return {4, now, why}
end
if record[5] or record[6] then
    return {3, now}
end
local token, expiry, holder = record[2], record[3], record[4]
local ends = now + tonumber(ARGV[3])
if holder and now < expiry then
    if holder ~= id then
        return {2, now, token, expiry - now, redis.call('HGET', key, 'o') or ''}
    end
    ends = math.max(ends, expiry)  -- an expiry never moves back
    redis.call('HSET', key, 'e', decimal(ends), 'k', record[7] == call and call or '*')
else
    token = math.max(token + 1, now, tonumber(ARGV[4]) + 1)
    redis.call('HSET', key, 'v', record[1] or '1', 'm', 'x', 't', decimal(token), 'i', id, 'e',
               decimal(ends), 'k', call, 'g', decimal(now), 'o', ARGV[5], 'd', ARGV[6])
end
redis.call('PEXPIREAT', key, decimal(math.floor(math.max(token, ends) / 1000) + tonumber(ARGV[7])))
return {1, now, token}
