#!lua flags=allow-oom
-- Replaces the expiry of many leases, each only if (holder id, token) still has it. Never revives an
-- expired one, never moves an expiry back: renewals that cross or run late do no harm.
--
-- KEYS n  the locks' records
-- ARGV 1  retention of a record, ms
--      then for each key: holder id, token, how long to keep the lease (us)
-- Reply {time, renewed 1 or 0, newest token, renewed, newest token, ...}; newest is 0 without a record
-- O(n): TIME, and for each HMGET, PEXPIREAT, HSET (in this order: Redis 6.2 refuses an HSET that comes
-- first when memory is full, and all leases would die).
--@include _record.lua
--@include _crowd.lua
local now = now_us()
local reply = {now}
for i, key in ipairs(KEYS) do
    local id, ours, keep = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local lock = open(key)
    local renewed = 0
    local field, value, ends
    if lock and lock.holder == id and lock.token == ours and now < lock.expiry then
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
        local expires = math.floor(math.max(lock.token, ends) / 1000) + tonumber(ARGV[1])
        redis.call('PEXPIREAT', key, decimal(expires))
        redis.call('HSET', key, field, value)
        renewed = 1
    end
    reply[#reply + 1] = renewed
    reply[#reply + 1] = lock and lock.token or 0
end
return reply
