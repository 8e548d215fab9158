-- Tickets: one for each station (a shard of a daemon) that has waiters, as a fixed-width text:
--   station 8 bytes, then digits: stamp 16, barrier 16, units 8, limit 8, waiting 7; mode 1 letter;
--   until 16
-- The stamp, mode, units and limit are those of its first waiter; barrier is the stamp of its first
-- one who would not share (0: none); `until` is when the ticket ends unless the station comes again. Mode u
-- is a shared holder's that wants to be exclusive: its stamp is 0, before all others.
--
-- A free lock is nobody's but the oldest live ticket's (tests/model/handon.pml). Stations are told by
-- PUBLISH; who is not reached looks for himself.
local TICKET_US = 3000000
local MAX_SHARED = 1000  -- holders of one lock: the cost of a purge
local TICKET_BYTES = 80

local function tickets(lock, now)
    local live = {}
    for at = 1, #lock.queue, TICKET_BYTES do
        local text = string.sub(lock.queue, at, at + TICKET_BYTES - 1)
        local ends = tonumber(string.sub(text, 65))
        if ends and ends > now then
            live[#live + 1] = {
                station = string.sub(text, 1, 8), stamp = tonumber(string.sub(text, 9, 24)),
                barrier = tonumber(string.sub(text, 25, 40)),
                units = tonumber(string.sub(text, 41, 48)), limit = tonumber(string.sub(text, 49, 56)),
                waiting = tonumber(string.sub(text, 57, 63)), mode = string.sub(text, 64, 64),
                ends = ends, text = text,
            }
        end
    end
    return live
end

local function before(one, other)
    return one.stamp < other.stamp or (one.stamp == other.stamp and one.station < other.station)
end

-- The oldest ticket of another station that `want` must not pass, if there is one; and how many wait
-- at others. One who follows others of its own station must not pass these either: what freed the lock
-- may have come between the two.
local function ahead(lock, want, now)
    local found, waiting = nil, 0
    if lock.queue ~= '' then
        for _, ticket in ipairs(tickets(lock, now)) do
            if ticket.station == want.station then
                if want.follows and ticket.stamp < want.stamp then
                    return {ends = now + 1000}, waiting  -- who is asked for again at once
                end
            else
                waiting = waiting + ticket.waiting
                local passes
                if want.mode == 's' and ticket.mode == 's' then
                    passes = ticket.barrier > 0 and ticket.barrier < want.stamp
                else
                    passes = before(ticket, want) or (want.mode == 'u' and ticket.mode == 'u')
                end
                if passes and not (found and before(found, ticket)) then
                    found = ticket
                end
            end
        end
    end
    return found, waiting
end

-- Replaces the station's ticket by `text` (without `until`), or takes it away if that is empty.
local function set_ticket(lock, station, text, now)
    if lock.queue == '' and text == '' then
        return
    end
    local kept = {}
    for _, ticket in ipairs(tickets(lock, now)) do
        if ticket.station ~= station then
            kept[#kept + 1] = ticket.text
        end
    end
    if text ~= '' then
        kept[#kept + 1] = text .. string.format('%016d', now + TICKET_US)
    end
    lock.queue = table.concat(kept)
end

local function held(lock, now)
    return lock.holder and now < lock.expiry
end

-- True if the first waiter of this ticket could have the lock, as far as its holders go.
local function has_room(lock, ticket, now)
    if held(lock, now) or now < lock.from or lock.theirs then
        return false
    elseif ticket.mode == 's' then
        return lock.units == 0 or (lock.mode == 's' and lock.units < MAX_SHARED)
    elseif ticket.mode == 'p' then
        return lock.units == 0 or (lock.mode == 'p' and lock.units + ticket.units <= lock.limit)
    elseif ticket.mode == 'u' then
        return lock.units <= 1
    end
    return lock.units == 0
end

-- Tells the stations whose turn it is, but `me`: the oldest; of shared ones, all that lead.
local function tell(lock, me, now)
    if lock.queue == '' then
        return
    end
    local live, barrier = tickets(lock, now), math.huge
    table.sort(live, before)
    for _, ticket in ipairs(live) do
        if ticket.barrier > 0 then
            barrier = math.min(barrier, ticket.barrier)
        end
    end
    for at, ticket in ipairs(live) do
        if (at > 1 and ticket.stamp > barrier) or not has_room(lock, ticket, now) then
            return
        end
        if ticket.station ~= me then
            redis.call('PUBLISH', 'holdfast:' .. ticket.station, 'f' .. lock.key)
        end
        if ticket.mode ~= 's' then
            return
        end
    end
end
