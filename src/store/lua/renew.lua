#!lua flags=allow-oom
-- Replaces the expiry of many leases, each only if (holder id, token) still has it. Never revives an
-- expired one, never moves an expiry back: renewals that cross or run late do no harm.
--
-- While nothing is granted because the store has lost its memory, a lease whose time has not run out, as
-- its daemon knows, is put back as it was; others have to wait until it is certain what has ended.
--
-- KEYS n  the locks' records; last the canary
-- ARGV 1  retention of a record, ms
--      2  what is known of the store's memory: see _memory.lua
--      3  station that asks, 8 bytes
--      then for each lock: holder id, token, how long to keep the lease (us), mode (x s p), units, limit,
--      1 if its time has certainly not run out
-- Reply {time, code, newest token, code, newest token, ...}; newest is 0 without a record
--       code 1 renewed    0 it is not there (any more)    2 not certain yet, while nothing is granted
--       {time, -1}        the memory is lost, nothing was done
-- O(n): TIME, and for each HMGET, PEXPIREAT, HSET (in this order: Redis 6.2 refuses an HSET that comes
-- first when memory is full, and all leases would die).
--@include _record.lua
--@include _memory.lua
--@include _crowd.lua
--@include _restore.lua
local now = now_us()
local wait = closed_for(KEYS[#KEYS], ARGV[2], now)
if not wait then
    return {now, -1}
end
local reply, retention = {now}, tonumber(ARGV[1])
for i = 1, #KEYS - 1 do
    local key, at = KEYS[i], 7 * i - 3
    local id, ours, keep = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local lock = open(key)
    local renewed = 0
    local field, value, ends
    if wait > 0 and ARGV[at + 6] ~= '1' then
        renewed = 2
    elseif lock and lock.holder == id and lock.token == ours and now < lock.expiry then
        ends = math.max(now + keep, lock.expiry)
        field, value = 'e', decimal(ends)
    elseif lock and lock.units > 0 then
        local one = find(lock, id)
        if one and one.token == ours and now < one.expiry then
            one.expiry = math.max(now + keep, one.expiry)
            ends, field, value = one.expiry, 'h' .. id, pack(one)
        end
    end
    if field then
        local expires = math.floor(math.max(lock.token, ends) / 1000) + retention
        redis.call('PEXPIREAT', key, decimal(expires))
        redis.call('HSET', key, field, value)
        renewed = 1
    elseif wait > 0 and renewed == 0 and lock then
        renewed = restore(lock, {id = id, token = ours, expiry = now + keep, mode = ARGV[at + 3],
                                 units = tonumber(ARGV[at + 4]), limit = tonumber(ARGV[at + 5]),
                                 host = ARGV[3]}, now, retention)
    end
    reply[#reply + 1] = renewed
    reply[#reply + 1] = lock and lock.token or 0
end
return reply
