-- The record of a lock: one HASH, all numbers as decimal strings, times in microseconds of Redis'
-- own TIME. Fields:
--   v   version of this layout: 1. Others are left alone, except 2, the next, which keeps these.
--   m   mode of the last grant: x (exclusive)
--   t   newest token ever granted
--   i   holder id, empty when free       e   expiry of its lease     g   when it was granted
--   k   the call that claimed it, or * if several calls did (retries with one request_id)
--   o   owner text                       d   metadata
--   c<16 bytes>  a closed holder or call id: h or e (its verdict) and the time it was closed
--   n   how many closed ids there are    s   since when (time of the last purge)
-- A free lock keeps t, so that tokens go on where they were, until the record expires.

local CLOSED_KEEP_US = 5000000  -- late copies of a command do nothing after 5 s at the latest
local CLOSED_MOST = 64
local CLOSED_FEW = 8            -- fewer are not worth a purge
local TOKEN_END = 9007199254740992 - 1000000  -- 2^53: above it a Lua number skips integers

local function decimal(number)  -- never tostring or "..": they lose digits
    return string.format('%d', number)
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

-- HMGET of a record: the values, or nil and why the key is no lock. A missing key gives false values.
local function read(key, ...)
    local values = redis.pcall('HMGET', key, 'v', 't', 'e', ...)
    if values.err then
        if string.find(values.err, 'WRONGTYPE', 1, true) then
            return nil, 'the key holds a value of another type'
        end
        return nil, values.err
    end
    if not values[1] then
        if redis.call('EXISTS', key) == 1 then
            return nil, 'the key holds a hash that is not a lock'
        end
        values[2], values[3] = 0, 0
        return values
    end
    if values[1] ~= '1' and values[1] ~= '2' then
        return nil, 'the record has version ' .. values[1]
    end
    values[2], values[3] = tonumber(values[2] or '0'), tonumber(values[3] or '0')
    for i = 4, #values do
        values[i] = values[i] ~= '' and values[i]
    end
    if not values[2] or not values[3] or values[2] >= TOKEN_END then
        return nil, 'the record is damaged'
    end
    return values
end
