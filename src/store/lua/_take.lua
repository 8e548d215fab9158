-- Granting, for acquire and for the hand-on in release.

-- What somebody wants: 14 arguments from ARGV[at] on.
--   holder id, call id, how long to keep the lease (us), owner, metadata, mode (x s p u), units,
--   limit, lock delay (us), stamp, station to tell or '', the ticket to leave if it is not granted (- if
--   that is left by another of the station, who came right before), the ticket to leave if it is; 1 if only a lease that the holder id has already is wanted
local function wanted(at, station)
    return {
        id = ARGV[at], call = ARGV[at + 1], keep = tonumber(ARGV[at + 2]), owner = ARGV[at + 3],
        data = ARGV[at + 4], mode = ARGV[at + 5], units = tonumber(ARGV[at + 6]),
        limit = tonumber(ARGV[at + 7]), delay = tonumber(ARGV[at + 8]), stamp = tonumber(ARGV[at + 9]),
        host = ARGV[at + 10], mine = ARGV[at + 11] ~= '-' and ARGV[at + 11] or '',
        follows = ARGV[at + 11] == '-', next = ARGV[at + 12], again = ARGV[at + 13] == '1',
        station = station,
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

local function save(lock, retention, ends, fields)
    if not lock.version then
        local z, f = outline(lock)
        fields = {'v', '1', 't', decimal(lock.token), 'e', '0', 'i', '', 'k', '', 'm', lock.mode or 'x',
                  'q', lock.queue, 'z', z, 'f', f, 'a', '', 'u', '', unpack(fields)}
        lock.version = '1'
    elseif lock.changed then
        local z, f = outline(lock)
        fields = {'q', lock.queue, 'z', z, 'f', f, unpack(fields)}
    end
    if #fields > 0 then
        redis.call('HSET', lock.key, unpack(fields))
    end
    local expires = math.floor(math.max(lock.token, ends) / 1000) + retention
    redis.call('PEXPIREAT', lock.key, decimal(expires))
    lock.changed = false
end

-- The holder's own lease again: a retry. It writes too, so that WAIT covers it. Nil if `want` has none.
local function again(lock, want, now, retention)
    if lock.holder == want.id and now < lock.expiry and want.mode ~= 's' and want.mode ~= 'p' then
        local ends = renewed_until(lock.expiry, lock.closes, now, want.keep)
        if not ends then
            return {3, now}
        end
        lock.expiry = ends
        local calls = with_call(lock.calls, want.call)
        save(lock, retention, lock.expiry, {'e', decimal(lock.expiry), 'k', calls})
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
        save(lock, retention, one.expiry, {'h' .. want.id, pack(one)})
        return {1, now, one.token}
    end
end

local function install(lock, want, now, floor, retention)
    local ends = now + want.keep
    local fields
    lock.token = math.max(lock.token + 1, now, floor + 1)
    lock.from = 0
    if want.mode == 's' or want.mode == 'p' then
        if lock.units == 0 then
            -- The newest exclusive token, before other modes' come on top.
            lock.exclusive = math.max(lock.exclusive, (lock.mode == 'x') and lock.before or 0)
            lock.earliest = ends
        end
        lock.mode, lock.units, lock.limit = want.mode, lock.units + want.units, want.limit
        lock.earliest, lock.delay = math.min(lock.earliest, ends), 0
        fields = {'t', decimal(lock.token), 'm', want.mode, 'i', '', 'h' .. want.id,
                  pack({expiry = ends, token = lock.token, since = now, units = want.units,
                        delay = want.delay, was = 0, closes = 0, calls = want.call, host = want.host,
                        owner = want.owner, data = want.data})}
        lock.holder, lock.changed = nil, true
    else
        local was, closes = 0, 0
        if want.mode == 'u' then  -- the lease stays what it was, but for its token and mode
            local one = find(lock, want.id)
            was, closes = was_now(one.token, one.was), one.closes
            ends = renewed_until(one.expiry, closes, now, want.keep)
            want.owner, want.data, want.delay = one.owner, one.data, one.delay
            want.host = want.host ~= '' and want.host or one.host
            redis.call('HDEL', lock.key, 'h' .. want.id)
        end
        if lock.units > 0 or lock.exclusive > 0 or lock.delay ~= want.delay then
            lock.units, lock.exclusive, lock.delay, lock.changed = 0, 0, want.delay, true
        end
        lock.mode, lock.holder, lock.expiry = 'x', want.id, ends
        fields = {'m', 'x', 't', decimal(lock.token), 'i', want.id, 'e', decimal(ends), 'k', want.call,
                  'g', decimal(now), 'o', want.owner, 'd', want.data}
        if lock.host or want.host ~= '' then
            fields[#fields + 1], fields[#fields + 2] = 'a', want.host
        end
        if lock.was + lock.closes + was + closes > 0 then
            fields[#fields + 1], fields[#fields + 2] = 'u', extras(was, closes)
        end
    end
    save(lock, retention, ends, fields)
    changed(lock.key)
    return {1, now, lock.token}
end

-- Grants the lock to `want`, or leaves its ticket. `wait`: for how long nothing may be granted (us), as
-- the store has lost its memory; `closed`: one of its ids has been closed.
-- Returns {1, now, token}                         granted
--         {2, now, token, left_us, owner, waiting} not now: who holds it (token 0: it is others' turn),
--                                                 when to look again, how many wait elsewhere
--         {3, now}                                closed, or revoked
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
    local had = again(lock, want, now, retention)
    if had or want.again then
        return had or {6, now}
    end
    lock.before = lock.token
    if lock.holder and now >= lock.expiry then
        if lock.delay > 0 then
            lock.from, lock.delay, lock.changed = lock.expiry + lock.delay, 0, true
        end
        lock.holder = nil
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
    if lock.changed then
        -- The lease that has expired stays, so that its release hears what became of it.
        save(lock, retention, now, {})
    end
    if held(lock, now) then
        local owner = redis.call('HGET', lock.key, 'o') or ''
        return {2, now, lock.token, lock.expiry - now, owner, waiting}
    elseif lock.from > now then
        return {2, now, lock.token, lock.from - now, '', waiting}
    elseif lock.units > 0 and not has_room(lock, want, now) then
        return {2, now, lock.token, math.max(lock.earliest - now, 1000), '', waiting}
    end
    return {2, now, 0, other.ends - now, '', waiting}
end
