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
local now = now_us()
local reply = {now}
for i, key in ipairs(KEYS) do
    local id, ours, keep = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local record = read(key, 'i')
    local renewed = 0
    if record and record[4] == id and record[2] == ours and now < record[3] then
        local ends = math.max(now + keep, record[3])
        local expires = math.floor(math.max(ours, ends) / 1000) + tonumber(ARGV[1])
        redis.call('PEXPIREAT', key, decimal(expires))
        redis.call('HSET', key, 'e', decimal(ends))
        renewed = 1
    end
    reply[#reply + 1] = renewed
    reply[#reply + 1] = record and record[2] or 0
end
return reply
