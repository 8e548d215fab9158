-- What one node of a quorum keeps (quorum_lock_store.hpp has the protocol and its proof). Times are in
-- microseconds of this node's TIME, numbers in decimal.
--
-- A lock is a HASH, its only key:
--   k   the head: version 1 (a); fence 16: the highest token ever written here, kept while the lock is free;
--       token 16: of the owner, 0 while it has not written one; expiry 16; since 16; lock delay 16;
--       closes 16: when it ceases to be renewed, as it was revoked, 0: it was not; station to tell when
--       somebody else ends it 8 (blanks: none); believed 1: 0 only the attempt that is the owner can have told
--       somebody of this lease; 1 others may have, so its end must not end it; r it has been renewed, so
--       somebody was told; memory 8: the node's memory in which the fence was last certain, see fence_of();
--       fence 16 and memory 8 from before the owner came: what its UNDO leaves
--   w   who owns it: the nonce of the attempt 16, holder id 16, the calls that claimed it, 16 each (or one of
--       *: too many). Empty: nobody. It stays when the lease has expired
--   o   owner text with its length 4 before it, and metadata
--   x   closed ids, oldest first: id 16, verdict 1 (h it was held until then, e not), time 16 each
--   q   who waits: station 8, stamp 16, how many 7, until when this is believed 16 each
--
-- The node itself is another HASH:
--   n   its memory's name, drawn when the memory began   i  incarnation of the Redis that it belongs to
--   c   what all daemons must agree on                   r  nothing is granted before   y  1: it takes part
--   E   floor: no fence here is below it; what a record that has been forgotten may have had
--   d   nothing is granted before, as the clock was set forward
--   t   when a daemon has looked last
--   h0  the highest fence written since b, h1 in the 12 h before b
-- Records live for 24 h after they were last written, so none of those after b - 12 h has been forgotten
-- before h1 is folded into E.

local BUCKET_US, KEEP_MS = 43200000000, 86400000
local AHEAD_US = 10000000  -- a proposal further in the future than this is not accepted
local CLOSED_RECORDS = 32
local TICKET_US, TICKET, TICKETS_MOST = 3000000, 47, 64
local CALLS_MOST = 8
local MANY_CALLS = string.rep('*', 16)

-- The node's state; or nil and for how long it certainly takes no part. Who only `renews` may do so while the
-- clock is doubted.
local function take_part(key, known, now, renews)
    local m = redis.call('HMGET', key, 'n', 'i', 'r', 'y', 'E', 'b', 'h0', 'h1', 'd')
    if not m[1] or m[1] .. m[2] ~= known then
        return nil, 0
    end
    if m[4] ~= '1' then
        return nil, math.max(0, tonumber(m[3]) - now)
    end
    local doubted = tonumber(m[9] or '0')
    if now < doubted and not renews then
        return nil, doubted - now
    end
    local node = {key = key, memory = string.sub(m[1], 1, 8), floor = tonumber(m[5]), began = tonumber(m[6]), high = tonumber(m[7]),
                  before = tonumber(m[8])}
    if now - node.began >= 2 * BUCKET_US then
        node.floor = math.max(node.floor, node.high, node.before)
        node.high, node.before, node.began, node.rolled = 0, 0, now, true
    elseif now - node.began >= BUCKET_US then
        node.floor = math.max(node.floor, node.before)
        node.high, node.before, node.began, node.rolled = 0, node.high, now, true
    end
    return node
end

-- A fence was written, or the buckets have moved on.
local function note(node, fence)
    if node.rolled then
        node.high, node.rolled = math.max(node.high, fence), false
        redis.call('HSET', node.key, 'E', decimal(node.floor), 'b', decimal(node.began),
                   'h0', decimal(node.high), 'h1', decimal(node.before))
    elseif fence > node.high then
        node.high = fence
        redis.call('HSET', node.key, 'h0', decimal(fence))
    end
end

local HEAD = 1 + 6 * 16 + 8 + 1 + 8 + 16 + 8

local function open(key)
    local v = redis.pcall('HMGET', key, 'k', 'w', 'o', 'x', 'q')
    if v.err then
        return nil, 'the key holds a value of another type'
    end
    local head, who = v[1], v[2] or ''
    if not head then
        if redis.call('EXISTS', key) == 1 then
            return nil, 'the key holds a hash that is no lock of a quorum'
        end
        return {key = key, fence = 0, token = 0, expiry = 0, since = 0, delay = 0, closes = 0, calls = '',
                texts = '', closed = '', queue = '', believed = '0', memory = NO_STATION, before = 0, before_memory = NO_STATION, step = -1}
    end
    if string.sub(head, 1, 1) ~= 'a' or #head ~= HEAD then
        return nil, 'the record is of another version, or damaged'
    end
    local host = string.sub(head, 98, 105)
    local lock = {
        key = key, fence = tonumber(string.sub(head, 2, 17)), token = tonumber(string.sub(head, 18, 33)),
        expiry = tonumber(string.sub(head, 34, 49)), since = tonumber(string.sub(head, 50, 65)),
        delay = tonumber(string.sub(head, 66, 81)), closes = tonumber(string.sub(head, 82, 97)),
        host = host ~= NO_STATION and host or nil, believed = string.sub(head, 106, 106), memory = string.sub(head, 107, 114),
        before = tonumber(string.sub(head, 115, 130)), before_memory = string.sub(head, 131),
        calls = string.sub(who, 33), texts = v[3] or '', closed = v[4] or '', queue = v[5] or '',
    }
    if who ~= '' then
        lock.nonce, lock.holder = string.sub(who, 1, 16), string.sub(who, 17, 32)
    end
    lock.step = step_of(lock.expiry)
    return lock
end

local function save(lock, now)
    if lock.step < 0 and not lock.holder and lock.closed .. lock.queue == '' then
        return
    end
    local who = lock.holder and lock.nonce .. lock.holder .. lock.calls or ''
    redis.call('HSET', lock.key,
               'k', string.format('a%016d%016d%016d%016d%016d%016d', lock.fence, lock.token, lock.expiry,
                                  lock.since, lock.delay, lock.closes)
                   .. (lock.host or NO_STATION) .. lock.believed .. lock.memory
                   .. string.format('%016d', lock.before) .. lock.before_memory,
               'w', who, 'o', lock.texts, 'x', lock.closed, 'q', lock.queue)
    if step_of(math.max(lock.expiry, now)) ~= lock.step then
        keep_for(lock.key, math.max(lock.expiry, now) + lock.delay, KEEP_MS)
    end
end

-- No grant that this node has ever been a part of had a higher token. A record that was not written since
-- the node's memory began may have been higher before, as one that is missing.
local function fence_of(lock, node)
    return lock.memory == node.memory and lock.fence or math.max(lock.fence, node.floor)
end

local function set_fence(lock, node, fence)
    lock.fence, lock.memory = fence, node.memory
end

local function lives(lock, now)
    return lock.holder and now < lock.expiry
end

local function drop(lock)
    lock.holder, lock.nonce, lock.host, lock.calls, lock.texts = nil, nil, nil, '', ''
    lock.token, lock.delay, lock.closes, lock.believed = 0, 0, 0, '0'
end

-- The verdict that an id was closed with, if it was.
local function verdict_of(lock, id)
    for at = 1, #lock.closed, 33 do
        if string.sub(lock.closed, at, at + 15) == id then
            return string.sub(lock.closed, at + 16, at + 16)
        end
    end
end

local function close(lock, id, verdict, now)
    if verdict_of(lock, id) then
        return
    end
    local from = 1
    while #lock.closed - from + 1 >= 33 * CLOSED_RECORDS
        or (from < #lock.closed
            and tonumber(string.sub(lock.closed, from + 17, from + 32)) < now - CLOSED_KEEP_US) do
        from = from + 33
    end
    lock.closed = string.sub(lock.closed, from) .. id .. verdict .. string.format('%016d', now)
end

local function has_call(calls, call)
    for at = 1, #calls, 16 do
        if string.sub(calls, at, at + 15) == call then
            return at
        end
    end
end

local function with_call(calls, call)
    if calls == MANY_CALLS or has_call(calls, call) then
        return calls
    end
    return #calls < 16 * CALLS_MOST and calls .. call or MANY_CALLS
end

-- The expiry of a lease that is renewed now; nil if it was revoked and its time is over.
local function renewed_until(lock, now, keep)
    if lock.closes == 0 then
        return math.max(lock.expiry, now + keep)
    elseif now >= lock.closes then
        return nil
    end
    return math.max(lock.expiry, math.min(now + keep, lock.closes))
end

-- Puts the station's ticket (stamp and count, 23 digits), or takes it away if that is empty.
local function set_ticket(lock, station, text, now)
    if lock.queue == '' and text == '' then
        return
    end
    local kept = {}
    for at = 1, #lock.queue, TICKET do
        local until_us = tonumber(string.sub(lock.queue, at + 31, at + 46))
        if string.sub(lock.queue, at, at + 7) ~= station and until_us > now
            and until_us <= now + TICKET_US and #kept < TICKETS_MOST then
            kept[#kept + 1] = string.sub(lock.queue, at, at + TICKET - 1)
        end
    end
    if text ~= '' then
        kept[#kept + 1] = station .. text .. string.format('%016d', now + TICKET_US)
    end
    lock.queue = table.concat(kept)
end

-- The station that has waited longest, but `me`, its stamp, and how many wait at others.
local function first_waiter(lock, me, now)
    local station, stamp, waiting = nil, nil, 0
    for at = 1, #lock.queue, TICKET do
        local one = string.sub(lock.queue, at, at + 7)
        if one ~= me and tonumber(string.sub(lock.queue, at + 31, at + 46)) > now then
            waiting = waiting + tonumber(string.sub(lock.queue, at + 24, at + 30))
            local when = string.sub(lock.queue, at + 8, at + 23)
            if not stamp or when < stamp then
                station, stamp = one, when
            end
        end
    end
    return station, stamp, waiting
end

-- Tells the station whose turn it is.
local function tell(lock, me, now)
    local station = first_waiter(lock, me, now)
    if station then
        redis.call('PUBLISH', 'holdfast:' .. station, 'f' .. lock.key)
    end
end
