#!lua flags=allow-oom
-- Takes a lock away from its holders: their leases are renewed until a deadline only, and those who watch
-- them are told. Or ends them at once, although their holders may still believe in them.
--
-- KEYS 1 the lock's record
-- ARGV 1 whose: a token, or 0 for all    2 until when they are renewed: us from now on
--      3 how: r the holder is asked to yield   f it is told that the lease is lost   i ended at once
--      4 station that asks, 8 bytes    5 retention of the record, ms    6 the reason, for people
-- Reply {1, time, holder, holder, ...}, each holder {token, held_for_us, left_us, units, owner, metadata}
--       {4, time, why}    the key is not such a lock
-- O(holders): TIME, HMGET, HGETALL, HSET, PUBLISH.
--@include _record.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local token, closes, how, station = tonumber(ARGV[1]), now + tonumber(ARGV[2]), ARGV[3], ARGV[4]
local at_once = how == 'i'
local lock, why = open(KEYS[1], 'g', 'o', 'd', 'n', 's')
if not lock then
    return {4, now, why}
end
local reply, fields, gone = {1, now}, {}, {}

-- Tells the station that watches the lease.
local function notify(host, id)
    if host and host ~= '' then
        local numbers = string.format('%012d%03d', closes - now, #ARGV[6])  -- "%s" would end at a NUL
        redis.call('PUBLISH', 'holdfast:' .. host, 'r' .. how .. id .. numbers .. ARGV[6] .. lock.key)
    end
end

local function closing(before)
    return before > 0 and math.min(before, closes) or closes
end

if held(lock, now) and (token == 0 or token == lock.token) then
    reply[3] = {lock.token, now - (tonumber(lock.more[1] or '0') or now), lock.expiry - now, 1,
                lock.more[2] or '', lock.more[3] or ''}
    notify(lock.host, lock.holder)
    if at_once then
        close(lock.key, lock.holder, 'e', now, lock.more[4], lock.more[5], true)
        lock.holder, lock.delay, lock.changed = nil, 0, true
    else
        fields = {'u', extras(lock.was, closing(lock.closes))}
    end
elseif lock.units > 0 then
    local all = redis.call('HGETALL', lock.key)
    for at = 1, #all, 2 do
        local field = all[at]
        if #field == 17 and string.sub(field, 1, 1) == 'h' then
            local one = unpacked(all[at + 1])
            if now < one.expiry and (token == 0 or token == one.token) then
                local id = string.sub(field, 2)
                reply[#reply + 1] = {one.token, now - one.since, one.expiry - now, one.units, one.owner,
                                     one.data}
                notify(one.host, id)
                if at_once then
                    gone[#gone + 1] = field
                    lock.units, lock.changed = lock.units - one.units, true
                else
                    one.closes = closing(one.closes)
                    fields[#fields + 1], fields[#fields + 2] = field, pack(one)
                end
            end
        end
    end
end
if #gone > 0 then
    redis.call('HDEL', lock.key, unpack(gone))
    for i, field in ipairs(gone) do
        local count = tonumber(lock.more[4] or '0') + i - 1
        close(lock.key, string.sub(field, 2), 'e', now, count, lock.more[5], false)
    end
end
if lock.changed or #fields > 0 then
    save(lock, tonumber(ARGV[5]), math.max(now, lock.expiry, lock.earliest), fields)
end
if at_once and #reply > 2 then
    changed(lock.key)
    tell(lock, station, now)
end
return reply
