-- Putting back a lease that the store has forgotten, or of which it knows an earlier state.

-- What `lock` still has of leases that cannot stand beside this one is stale, and taken out.
-- Returns 1, or 0 if a later grant is there, or it was released meanwhile.
local function restore(lock, lease, now, retention)
    local shares = lease.mode ~= 'x'
    -- Others that share may be newer.
    local newest = shares and lock.mode == lease.mode and lock.exclusive or lock.token
    if newest > lease.token or redis.call('HEXISTS', lock.key, 'c' .. lease.id) == 1 then
        return 0
    end
    if lock.units > 0 and not (shares and lock.mode == lease.mode) then
        for _, field in ipairs(redis.call('HKEYS', lock.key)) do
            if #field == 17 and string.sub(field, 1, 1) == 'h' then
                redis.call('HDEL', lock.key, field)
            end
        end
        lock.units, lock.exclusive = 0, 0
    end
    local earlier = find(lock, lease.id)  -- of the same mode: its own place, taken once
    lock.units = lock.units - (earlier and earlier.units or 0)
    lock.token, lock.mode = math.max(lock.token, lease.token), lease.mode
    if lock.holder then
        drop(lock)
    end
    if shares then
        lock.earliest = lock.units > 0 and math.min(lock.earliest, lease.expiry) or lease.expiry
        lock.units, lock.limit = lock.units + lease.units, lease.limit
        lock.was, lock.closes, lock.expiry = 0, 0, 0
        set(lock, 'h' .. lease.id,
            pack({expiry = lease.expiry, token = lease.token, since = now, units = lease.units, delay = 0,
                  was = lease.mode == 's' and ANY or 0, closes = 0, calls = '', host = lease.host,
                  owner = '', data = ''}))
    else
        lock.holder, lock.calls, lock.expiry, lock.since = lease.id, '', lease.expiry, now
        lock.host, lock.was, lock.closes = present(lease.host), ANY, 0
    end
    lock.from, lock.delay, lock.must = 0, 0, true
    save(lock, retention, lease.expiry)
    return 1
end
