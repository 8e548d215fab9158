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
    local stale = {}
    if lock.units > 0 and not (shares and lock.mode == lease.mode) then
        for _, field in ipairs(redis.call('HKEYS', lock.key)) do
            if #field == 17 and string.sub(field, 1, 1) == 'h' then
                stale[#stale + 1] = field
            end
        end
        lock.units, lock.exclusive = 0, 0
    end
    local token = math.max(lock.token, lease.token)
    local fields = {'v', '1', 't', decimal(token), 'm', lease.mode, 'q', lock.queue, 'f', '', 'k', '', 'o', '', 'd', '', 'u', extras(shares and 0 or ANY, 0)}
    local function add(field, value)
        fields[#fields + 1], fields[#fields + 2] = field, value
    end
    if shares then
        lock.earliest = lock.units > 0 and math.min(lock.earliest, lease.expiry) or lease.expiry
        lock.units, lock.limit = lock.units + lease.units, lease.limit
        add('i', '')
        add('e', '0')
        add('a', '')
        add('h' .. lease.id, pack({expiry = lease.expiry, token = lease.token, since = now,
                                   units = lease.units, delay = 0, was = lease.mode == 's' and ANY or 0, closes = 0, calls = '', host = lease.host,
                                   owner = '', data = ''}))
    else
        add('i', lease.id)
        add('e', decimal(lease.expiry))
        add('a', lease.host)
        add('g', decimal(now))
    end
    lock.from, lock.delay = 0, 0
    add('z', (outline(lock)))
    local expires = math.floor(math.max(token, lease.expiry) / 1000) + retention
    if lock.version then
        redis.call('PEXPIREAT', lock.key, decimal(expires))
    end
    redis.call('HSET', lock.key, unpack(fields))
    redis.call('PEXPIREAT', lock.key, decimal(expires))
    if #stale > 0 then
        redis.call('HDEL', lock.key, unpack(stale))
    end
    return 1
end
