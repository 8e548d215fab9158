-- Granting, for acquire and for the hand-on in release.

-- What somebody wants: arguments from ARGV[at] on.
--   holder id, call id, how long to keep the lease (us), owner, metadata, stamp, station to tell or '';
--   the rest only if one of them is not as here: mode (x s p u) x, units 1, limit 0, lock delay (us) 0,
--   '': the ticket to leave if it is not granted (- if that is left by another of the station, who came
--   right before), '': the ticket to leave if it is, '': 1 if only a lease that the holder id has already
--   is wanted
local function wanted(at, station)
    local mine = ARGV[at + 11] or ''
    return {
        id = ARGV[at], call = ARGV[at + 1], keep = tonumber(ARGV[at + 2]), owner = ARGV[at + 3],
        data = ARGV[at + 4], stamp = tonumber(ARGV[at + 5]), host = present(ARGV[at + 6]),
        mode = ARGV[at + 7] or 'x', units = tonumber(ARGV[at + 8] or '1'),
        limit = tonumber(ARGV[at + 9] or '0'), delay = tonumber(ARGV[at + 10] or '0'),
        mine = mine ~= '-' and mine or '', follows = mine == '-', next = ARGV[at + 12] or '',
        again = ARGV[at + 13] == '1', station = station,
    }
end

-- Why the name cannot be used in this mode, or nil.
local function conflict(lock, want, now)
    local mode, limit
    if lock.units > 0 then
        mode, limit = lock.mode, lock.limit
    elseif held(lock, now) then
        mode = 'x'
    elseif lock.queue ~= '' then
        local first = tickets(lock, now)[1]
        if first then
            mode, limit = first.mode, first.limit
        end
    end
    if not mode or (mode ~= 'p' and want.mode ~= 'p') then
        return nil
    elseif mode ~= 'p' then
        return 'it is in use as an exclusive or shared lock'
    elseif want.mode ~= 'p' then
        return 'it is in use for permits, ' .. decimal(limit) .. ' in all'
    elseif limit ~= want.limit then
        return 'it is in use with a limit of ' .. decimal(limit) .. ' permits'
    end
end

-- The holder's own lease again: a retry. It writes too, so that WAIT covers it. Nil if `want` has none.
local function again(lock, want, now, retention)
    if lock.holder == want.id and now < lock.expiry and want.mode ~= 's' and want.mode ~= 'p' then
        local ends = not lock.lost and renewed_until(lock.expiry, lock.closes, now, want.keep)
        if not ends then
            return {3, now}
        end
        lock.expiry, lock.calls = ends, with_call(lock.calls, want.call)
        set(lock, 'i', lock.holder .. lock.calls)
        save(lock, retention, lock.expiry)
        return {1, now, lock.token}
    end
    local one = (want.mode == 's' or want.mode == 'p') and find(lock, want.id)
    if one and now < one.expiry then
        local ends = renewed_until(one.expiry, one.closes, now, want.keep)
        if not ends then
            return {3, now}
        end
        one.expiry = ends
        one.calls = with_call(one.calls, want.call)
        set(lock, 'h' .. want.id, pack(one))
        save(lock, retention, one.expiry)
        return {1, now, one.token}
    end
end

local function install(lock, want, now, floor, retention)
    local ends, before = now + want.keep, lock.token
    lock.token = math.max(lock.token + 1, now, floor + 1)
    lock.from = 0
    if want.mode == 's' or want.mode == 'p' then
        if lock.units == 0 then
            -- The newest exclusive token, before other modes' come on top.
            lock.exclusive = math.max(lock.exclusive, (lock.mode == 'x') and before or 0)
            lock.earliest = ends
        end
        if lock.holder then
            drop(lock)  -- it has expired
        end
        lock.mode, lock.units, lock.limit = want.mode, lock.units + want.units, want.limit
        lock.earliest, lock.delay = math.min(lock.earliest, ends), 0
        set(lock, 'h' .. want.id,
            pack({expiry = ends, token = lock.token, since = now, units = want.units,
                  delay = want.delay, was = 0, closes = 0, calls = want.call, host = want.host or '',
                  owner = want.owner, data = want.data}))
    else
        lock.was, lock.closes = 0, 0
        if want.mode == 'u' then  -- the lease stays what it was, but for its token and mode
            local one = find(lock, want.id)
            lock.was, lock.closes = was_now(one.token, one.was), one.closes
            ends = renewed_until(one.expiry, one.closes, now, want.keep)
            want.owner, want.data, want.delay = one.owner, one.data, one.delay
            want.host = want.host or present(one.host)
            redis.call('HDEL', lock.key, 'h' .. want.id)
        end
        lock.units, lock.earliest, lock.limit, lock.exclusive, lock.delay = 0, 0, 0, 0, want.delay
        lock.mode, lock.holder, lock.calls, lock.host = 'x', want.id, want.call, want.host
        lock.expiry, lock.since = ends, now
        set(lock, 'o', texts_of(want.owner, want.data))
    end
    save(lock, retention, ends)
    changed(lock.key)
    return {1, now, lock.token}
end

-- Grants the lock to `want`, or leaves its ticket. `wait`: for how long nothing may be granted (us), as
-- the store has lost its memory; `closed`: one of its ids has been closed.
-- Returns {1, now, token}                         granted
--         {2, now, token, left_us, owner, waiting} not now: who holds it (token 0: it is others' turn),
--                                                 when to look again, how many wait elsewhere
--         {2, now, 0, left_us, owner, waiting, 1} another client has the plain key: see _coexist.lua
--         {3, now}                                closed, or revoked, or lost
--         {4, now, why}                           the name is in use in another mode
--         {5, now}                                of mode u: another holder asked first; or the shared
--                                                 lease is gone
--         {6, now}                                the lease is not there (only if `again`)
--         {8, now, wait_us}                       nothing is granted yet, as the memory was lost
local function take(lock, want, wait, closed, now, floor, retention)
    if closed then
        return {3, now}
    end
    if wait > 0 then
        return {8, now, wait}  -- not even the same lease again: a backup may have brought back its end
    end
    if lock.plain and (want.mode ~= 'x' or lock.odd) then
        return {4, now, want.mode ~= 'x' and EXCLUSIVE_ONLY
                        or 'its plain key ' .. lock.plain .. ' holds a value of another type'}
    end
    local had = again(lock, want, now, retention)
    if had or want.again then
        return had or {6, now}
    end
    if lock.holder and now >= lock.expiry and lock.delay > 0 then
        lock.from, lock.delay = lock.expiry + lock.delay, 0
    end
    purge(lock, now)
    local why = conflict(lock, want, now)
    if why then
        return {4, now, why}
    end
    if want.mode == 'u' then
        local one = find(lock, want.id)
        if not one or not renewed_until(one.expiry, one.closes, now, want.keep) then
            return {3, now}
        end
    end
    local other, waiting = ahead(lock, want, now)
    if want.mode == 'u' and other then
        return {5, now}
    end
    if not other and has_room(lock, want, now) then
        set_ticket(lock, want.station, want.next, now)
        local granted = install(lock, want, now, floor, retention)
        if lock.mode ~= 'x' then
            tell(lock, want.station, now)
        end
        return granted
    end
    if want.mine ~= '' then
        set_ticket(lock, want.station, want.mine, now)
    end
    -- A lease that has expired stays, so that its release hears what became of it.
    save(lock, retention, now)
    if lock.theirs then
        return {2, now, 0, lock.theirs, 'a client of the plain key ' .. lock.plain, waiting, 1}
    elseif held(lock, now) then
        return {2, now, lock.token, lock.expiry - now, texts_in(redis.call('HGET', lock.key, 'o')), waiting}
    elseif lock.from > now then
        return {2, now, lock.token, lock.from - now, '', waiting}
    elseif lock.units > 0 and not has_room(lock, want, now) then
        return {2, now, lock.token, math.max(lock.earliest - now, 1000), '', waiting}
    end
    return {2, now, 0, other.ends - now, '', waiting}
end
