#!lua flags=allow-oom
-- Replaces the expiry of many leases, each only if (holder id, token) still has it. Never revives an
-- expired one, never moves an expiry back: renewals that cross or run late do no harm.
--
-- While nothing is granted because the store has lost its memory, a lease whose time has not run out, as
-- its daemon knows, is put back as it was; others have to wait until it is certain what has ended.
--
-- KEYS n  the locks' records; the plain keys of those that have one; last the canary, unless it is apart: see
--      _memory.lua
-- ARGV 1  retention of a record, ms
--      2  what is known of the store's memory: see _memory.lua
--      3  station that asks, 8 bytes
--      then for each lock: holder id, token, how long to keep the lease (us), mode (x s p), units, limit,
--      1 if its time has certainly not run out, before that k if it has a plain key
-- Reply {time, four for each lock...}
--       code       1 renewed    0 it is not there (any more)    2 not certain yet, while nothing is granted
--                  3 it was revoked, and is not renewed any more    4 it was released while it was held
--       newest     token of the lock, 0 without a record
--       as         it has been converted: token of the exclusive lease, or minus that of the shared one;
--                  else 0
--       closes_in  it was revoked, and can be renewed for so long (us, at least 1); else 0
--       {time, -1} the memory is lost, nothing was done
-- O(n): TIME, and for each HMGET, HSET.
--@include _head.lua
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
local count = (#ARGV - 3) / 7
local plain_at = count
for i = 1, count do
    local key, at = KEYS[i], 7 * i - 3
    local id, ours, keep = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local hints = ARGV[at + 6]
    local lock = open(key)
    local plain
    if hints == 'k' or hints == 'k1' then
        plain_at = plain_at + 1
        plain = KEYS[plain_at]
    end
    if lock and plain then
        coexist(lock, plain, now, ours)
    end
    local code, as, closes = 0, 0, 0
    local ends
    if wait > 0 and hints ~= '1' and hints ~= 'k1' then
        code = 2
    elseif lock and owns(lock, id, ours) and now < lock.expiry and not lock.lost
        and not (wait > 0 and ARGV[at + 3] == 's' and lock.token == ours) then
        -- (An upgrade has a new token: an exclusive record with the shared lease's is an earlier state.)
        closes, code = lock.closes, 3
        as = (lock.token ~= ours or ARGV[at + 3] ~= 'x') and lock.token or 0
        ends = renewed_until(lock.expiry, closes, now, keep)
        if ends then
            renew(lock, nil, id, ends, lock.host)
        end
    elseif lock and lock.units > 0 and not plain then
        local one = find(lock, id)
        if one and is_lease(one.token, one.was, ours) and now < one.expiry then
            closes, code = one.closes, 3
            as = (ARGV[at + 3] == 'x' or one.token ~= ours) and -one.token or 0
            ends = renewed_until(one.expiry, closes, now, keep)
            if ends then
                renew(lock, one, id, ends, one.host)
            end
        end
    end
    if ends then
        save(lock, retention, ends)
        code = 1
    elseif lock and lock.lost then
        lock.must = true
        save(lock, retention, now)
        changed(key)
    elseif wait > 0 and code == 0 and lock and not lock.theirs
        and not (plain and ARGV[at + 3] ~= 'x') then
        code = restore(lock, {id = id, token = ours, expiry = now + keep, mode = ARGV[at + 3],
                                 units = tonumber(ARGV[at + 4]), limit = tonumber(ARGV[at + 5]),
                                 host = ARGV[3]}, now, retention)
    end
    if code == 0 and lock and string.sub(redis.call('HGET', key, 'c' .. id) or '', 1, 1) == 'h' then
        code = 4
    end
    local n = #reply
    reply[n + 1], reply[n + 2] = code, lock and lock.token or 0
    reply[n + 3], reply[n + 4] = as, closes > 0 and math.max(1, closes - now) or 0
end
return reply
