-- The record of a lock: one HASH, times in microseconds of Redis' own TIME, numbers in decimal. Fields:
--   l   what each grant changes, 58 bytes: version 1 (1; others are left alone, except 2, the next, which
--       keeps these fields); mode 1 of who holds it, or held it last: x exclusive, s shared, p permits;
--       newest token ever granted 16; of the exclusive lease: expiry 16, when it was granted 16, station to
--       tell when somebody else ends it 8 (blanks: none)
--   i   its holder id, 16 bytes, then the calls that claimed it, 16 bytes each: several if a request_id was
--       retried. Empty: there is no exclusive lease
--   o   its owner text, with its length 4 before it, and its metadata. Empty: neither
--   x   what is rare, empty if all are 0: "from delay units earliest limit exclusive was closes"
--       from       not to be granted before
--       delay      lock delay after the expiry of i's lease
--       units      of shared holders and permits: in use
--       earliest   a time before which none of them expires
--       limit      of permits
--       exclusive  the newest exclusive token, when others are in use
--       was        of i's lease: token of the shared lease that it was converted from, ANY if that has been
--                  forgotten
--       closes     of i's lease: when it ceases to be renewed, as it was revoked
--   q   tickets of daemons that wait: see _queue.lua. Empty: none
--   n   "count since": how many closed ids there are, and the time of their last purge
--   c<16 bytes>  a closed holder or call id: h or e (its verdict) and the time it was closed
--   k   only with a plain key: see _coexist.lua
--   h<16 bytes>  a shared holder or permit, by holder id: see pack() in _crowd.lua
-- A free lock keeps its newest token, so that tokens go on where they were, until the record expires. Few
-- fields and short: a small hash is a list that is searched from its front.

local HEAD_BYTES = 58
local NO_STATION = '        '
local TOKEN_END = 9007199254740992 - 1000000  -- 2^53: above it a Lua number skips integers

local function decimal(number)  -- never tostring or "..": they lose digits
    return string.format('%d', number)
end

local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local function head_of(version, mode, token, expiry, since, host)
    return string.format('%s%s%016d%016d%016d', version, mode, token, expiry, since) .. (host or NO_STATION)
end

local function texts_of(owner, data)
    return (owner ~= '' or data ~= '') and string.format('%04d', #owner) .. owner .. data or ''
end

-- A record is to live for the retention (ms) after its newest token and expiry. So that not every change
-- has to say so, it lives to the end of their step longer, and it is said when they come into another. Steps
-- are the same for all, and shorter than any retention (1 min): daemons may have different ones.
local STEP_US = 30000000
local function step_of(time)
    return math.floor(time / STEP_US)
end

local function keep_for(key, time, retention)
    redis.call('PEXPIREAT', key, decimal((step_of(time) + 1) * STEP_US / 1000 + retention))
end

local CLOSED_KEEP_US = 5000000  -- late copies of a command do nothing after 5 s at the latest
local CLOSED_MOST = 256
local CLOSED_FEW = 8            -- fewer are not worth a purge

-- Field n. Of many it is so long that the hash is no list any more (hash-max-listpack-value): those who take
-- a lock often shall not search it.
local function count_text(count, since)
    return string.format('%d %d', count, since) .. (count > CLOSED_FEW and string.rep(' ', 64) or '')
end

local function closed_count(text)
    local count, since = string.match(text or '', '^(%d+) (%d+) *$')
    return tonumber(count or '0'), tonumber(since or '0')
end

local function to_be_purged(count, since, now)
    return count >= CLOSED_MOST or (count >= CLOSED_FEW and now - since > CLOSED_KEEP_US)
end

local WATCH_CHANNELS = 64

-- Tells whoever watches this lock that it is not as it was. RedisLockStore::watch_channel() is the same.
local function changed(key)
    local channel = (string.byte(key, -1) + 7 * #key) % WATCH_CHANNELS
    redis.call('PUBLISH', 'holdfast:watch:' .. channel, 'c' .. key)
end
