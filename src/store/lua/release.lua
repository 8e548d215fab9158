#!lua flags=allow-oom
-- Ends a lease and says whether exclusion held until now. Safe to repeat for 5 s with the same answer.
--
-- KEYS 1 the lock's record
-- ARGV 1 holder id, 16 bytes      2 the lease's token
-- Reply {0, time}                 no trace of such a lease
--       {1, time}                 held throughout; free now
--       {2, time}                 had expired; nobody has taken it since
--       {3, time, newer_token}    was taken by a later grant
--       {4, time, why}            the key is not such a lock
-- O(1): TIME, HMGET, HDEL, HSET; now and then a purge of closed ids.
--@include _record.lua
--@include _close.lua
local now = now_us()
local key, id, ours = KEYS[1], ARGV[1], tonumber(ARGV[2])
local record, why = read(key, 'i', 'c' .. id, 'n', 's')
if not record then
    return {4, now, why}
end
local token, expiry, holder, closed = record[2], record[3], record[4], record[5]
if holder == id and token == ours then
    local held = now < expiry
    close(key, id, held and 'h' or 'e', now, record[6], record[7], true)
    return {held and 1 or 2, now}
end
if closed and string.sub(closed, 1, 1) == 'h' then
    return {1, now}
end
if token > ours then
    return {3, now, token}
end
if token == ours and not holder then
    return {2, now}
end
return {0, now}
