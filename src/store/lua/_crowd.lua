-- Shared holders and permits: one field h<id> each, with an expiry of its own.

-- expiry 16, token 16, since 16, units 8, lock delay 16, was and closes (as in field x) 16 each, length of
-- the calls 4, of the owner 4 digits;
-- station to tell 8 bytes (or blanks); calls; owner; metadata
local function pack(one)
    local numbers = string.format('%016d%016d%016d%08d%016d%016d%016d%04d%04d', one.expiry, one.token,
                                  one.since, one.units, one.delay, one.was, one.closes, #one.calls,
                                  #one.owner)
    local host = one.host == '' and NO_STATION or one.host
    return numbers .. host .. one.calls .. one.owner .. one.data  -- "%s" would end at a NUL
end

local function unpacked(text)
    local calls = 120 + tonumber(string.sub(text, 105, 108))
    local owner = calls + tonumber(string.sub(text, 109, 112))
    local host = string.sub(text, 113, 120)
    return {
        expiry = tonumber(string.sub(text, 1, 16)), token = tonumber(string.sub(text, 17, 32)),
        since = tonumber(string.sub(text, 33, 48)), units = tonumber(string.sub(text, 49, 56)),
        delay = tonumber(string.sub(text, 57, 72)), was = tonumber(string.sub(text, 73, 88)),
        closes = tonumber(string.sub(text, 89, 104)), host = host ~= NO_STATION and host or '',
        calls = string.sub(text, 121, calls), owner = string.sub(text, calls + 1, owner),
        data = string.sub(text, owner + 1),
    }
end

-- Until when a lease lasts that is renewed now; nil if it is not to be renewed any more. An expiry never
-- moves back.
local function renewed_until(expiry, closes, now, keep)
    if closes > 0 and now >= closes then
        return nil
    end
    return math.max(now + keep, expiry)
end

-- Renews the exclusive lease, or `one` of the crowd, and has `host` watch it. It writes whatever there was,
-- so that WAIT covers it; and also when memory is full, or all leases would die.
local function renew(lock, one, id, ends, host)
    if one then
        one.expiry, one.host = ends, host
        set(lock, 'h' .. id, pack(one))
    else
        lock.expiry, lock.host = ends, host
        set(lock, 'i', lock.holder .. lock.calls)
    end
    lock.must = true
end

local function find(lock, id)
    local text = lock.units > 0 and redis.call('HGET', lock.key, 'h' .. id)
    return text and unpacked(text)
end

-- Takes out those that have expired. O(holders), only when the earliest expiry has passed; it moves
-- on when they are renewed, so at most a few times per ttl.
local function purge(lock, now)
    if lock.units == 0 or now < lock.earliest then
        return
    end
    local all, units, earliest = redis.call('HGETALL', lock.key), 0, nil
    for at = 1, #all, 2 do
        local field = all[at]
        if #field == 17 and string.sub(field, 1, 1) == 'h' then
            local one = unpacked(all[at + 1])
            if one.expiry <= now then
                redis.call('HDEL', lock.key, field)
                if one.delay > 0 then
                    lock.from, lock.delay = math.max(lock.from, one.expiry + one.delay), 0
                end
            else
                units = units + one.units
                earliest = math.min(earliest or one.expiry, one.expiry)
            end
        end
    end
    lock.units, lock.earliest = units, earliest or 0
end
