-- The record of a lock: one HASH, all numbers as decimal strings, times in microseconds of Redis'
-- own TIME. Fields:
--   v   version of this layout: 1. Others are left alone, except 2, the next, which keeps these.
--   t   newest token ever granted
--   m   mode of who holds it, or held it last: x exclusive, s shared, p permits
--   i   holder id of an exclusive lease, empty when there is none      e   its expiry
--   k   the calls that claimed it, 16 bytes each: several if a request_id was retried
--   g   when it was granted     o   owner text     d   metadata
--   z   of shared holders and permits: "units earliest limit exclusive": units in use; a time before
--       which none of them expires; the permits' limit; the newest exclusive token. Empty: none
--   h<16 bytes>  one of them, by holder id: see pack() in _crowd.lua
--   f   "from delay": not to be granted before `from`; `delay` after i's expiry. Empty: neither
--   q   tickets of daemons that wait: see _queue.lua
--   a   the station to tell when somebody else ends the lease of i. Empty: none
--   u   "was closes" of the lease of i: the token of the shared lease that it was converted from, 0 if it
--       was not, ANY if that has been forgotten; when it ceases to be renewed, as it was revoked, or 0.
--       Empty: 0 and 0
--   c<16 bytes>  a closed holder or call id: h or e (its verdict) and the time it was closed
--   n   how many closed ids there are    s   since when (time of the last purge)
-- A free lock keeps t, so that tokens go on where they were, until the record expires. Fields that
-- are empty stay: a small hash is a list that is searched from its front.

local CLOSED_KEEP_US = 5000000  -- late copies of a command do nothing after 5 s at the latest
local CLOSED_MOST = 256
local CLOSED_FEW = 8            -- fewer are not worth a purge
local TOKEN_END = 9007199254740992 - 1000000  -- 2^53: above it a Lua number skips integers

local function decimal(number)  -- never tostring or "..": they lose digits
    return string.format('%d', number)
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local CALLS_MOST = 8  -- more than that at once do not count: such a lease ends by its ttl alone

-- Adds a call to those that claim a lease.
local function with_call(calls, call)
    for at = 1, #calls, 16 do
        if string.sub(calls, at, at + 15) == call then
            return calls
        end
    end
    return #calls < 16 * CALLS_MOST and calls .. call or string.rep('*', 16 * CALLS_MOST)
end

-- Takes a call out; nil if it is not among them.
local function without_call(calls, call)
    for at = 1, #calls, 16 do
        if string.sub(calls, at, at + 15) == call then
            return string.sub(calls, 1, at - 1) .. string.sub(calls, at + 16)
        end
    end
end

local function present(value)
    return value ~= '' and value or nil
end

-- The record as a table, with the values of more fields in `more`; or nil and why the key is no lock.
-- A missing record is one of version nil that nobody has.
local function open(key, ...)
    local values = redis.pcall('HMGET', key, 'v', 't', 'e', 'i', 'k', 'm', 'q', 'z', 'f', 'a', 'u', ...)
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
    elseif values[1] ~= '1' and values[1] ~= '2' then
        return nil, 'the record has version ' .. values[1]
    end
    local lock = {
        key = key, version = values[1] or nil, token = tonumber(values[2] or '0'),
        expiry = tonumber(values[3] or '0'), holder = present(values[4]), calls = values[5] or '',
        mode = present(values[6]), queue = values[7] or '', host = present(values[10]),
        from = 0, delay = 0, units = 0, earliest = 0, limit = 0, exclusive = 0, was = 0, closes = 0,
        more = {unpack(values, 12, 11 + select('#', ...))},
    }
    if present(values[8]) then
        local units, earliest, limit, exclusive = string.match(values[8], '^(%d+) (%d+) (%d+) (%d+)$')
        lock.units, lock.earliest = tonumber(units), tonumber(earliest)
        lock.limit, lock.exclusive = tonumber(limit), tonumber(exclusive)
    end
    if present(values[9]) then
        local from, delay = string.match(values[9], '^(%d+) (%d+)$')
        lock.from, lock.delay = tonumber(from), tonumber(delay)
    end
    if present(values[11]) then
        local was, closes = string.match(values[11], '^(%d+) (%d+)$')
        lock.was, lock.closes = tonumber(was), tonumber(closes)
    end
    if not (lock.token and lock.expiry and lock.units and lock.from and lock.was) or lock.token >= TOKEN_END then
        return nil, 'the record is damaged'
    end
    return lock
end

local ANY = 1

-- True if the lease that stands, with this token and `was`, is the one that had `asked`: as it is, or as it
-- was before it was converted.
local function is_lease(token, was, asked)
    return token == asked or (was > 0 and was == asked) or (was == ANY and asked < token)
end

-- The same, of the exclusive lease.
local function owns(lock, id, asked)
    return lock.holder == id and is_lease(lock.token, lock.was, asked)
end

-- What a lease was, when it is converted once more.
local function was_now(token, was)
    return was > 0 and ANY or token
end

-- The field u.
local function extras(was, closes)
    return (was > 0 or closes > 0) and string.format('%d %d', was, closes) or ''
end

local WATCH_CHANNELS = 64

-- Tells whoever watches this lock that it is not as it was. RedisLockStore::watch_channel() is the same.
local function changed(key)
    local channel = (string.byte(key, -1) + 7 * #key) % WATCH_CHANNELS
    redis.call('PUBLISH', 'holdfast:watch:' .. channel, 'c' .. key)
end
