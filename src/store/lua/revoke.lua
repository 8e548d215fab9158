#!lua flags=allow-oom
-- Takes a lock away from its holders: their leases are renewed until a deadline only, and those who watch
-- them are told. Or ends them at once, although their holders may still believe in them.
--
-- KEYS 1 the lock's record    2 its plain key, if it has one
-- ARGV 1 whose: a token, or 0 for all    2 until when they are renewed: us from now on
--      3 how: r the holder is asked to yield   f it is told that the lease is lost   i ended at once
--      4 station that asks, 8 bytes    5 retention of the record, ms    6 the reason, for people
-- Reply {1, time, holder, holder, ...}, each holder {token, held_for_us, left_us, units, owner, metadata}
--       {4, time, why}    the key is not such a lock
-- O(holders): TIME, HMGET, HGETALL, HSET, PUBLISH.
--@include _head.lua
--@include _record.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local token, closes, how, station = tonumber(ARGV[1]), now + tonumber(ARGV[2]), ARGV[3], ARGV[4]
local at_once = how == 'i'
local lock, why = open(KEYS[1], 'o')
if not lock then
    return {4, now, why}
end
coexist(lock, KEYS[2], now)
lock.must = true
local reply = {1, now}

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
    local owner, data = texts_in(lock.more[1])
    reply[3] = {lock.token, now - lock.since, lock.expiry - now, 1, owner, data}
    notify(lock.host, lock.holder)
    if at_once then
        close(lock, lock.holder, 'e', now)
        drop(lock)
    else
        lock.closes = closing(lock.closes)
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
                    redis.call('HDEL', lock.key, field)
                    close(lock, id, 'e', now)
                    lock.units = lock.units - one.units
                else
                    one.closes = closing(one.closes)
                    set(lock, field, pack(one))
                end
            end
        end
    end
end
save(lock, tonumber(ARGV[5]), math.max(now, lock.earliest))
if at_once and #reply > 2 then
    changed(lock.key)
    tell(lock, station, now)
end
return reply
