-- The record as a table, for all but the most common cases: read, changed, and what differs is written.

--@include _coexist.lua
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

-- Owner and metadata of field o.
local function texts_in(text)
    local ends = 4 + (tonumber(string.sub(text or '', 1, 4)) or 0)
    return string.sub(text or '', 5, ends), string.sub(text or '', ends + 1)
end

local RARE = '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$'

-- The record as a table, with the values of more fields in `more`; or nil and why the key is no lock.
-- A missing record is one of version nil that nobody has.
local function open(key, ...)
    local values = redis.pcall('HMGET', key, 'l', 'i', 'x', 'q', ...)
    if values.err then
        if string.find(values.err, 'WRONGTYPE', 1, true) then
            return nil, 'the key holds a value of another type'
        end
        return nil, values.err
    end
    local head, ids, rare = values[1] or '', values[2] or '', values[3] or ''
    local version = present(string.sub(head, 1, 1))
    if not version then
        if redis.call('EXISTS', key) == 1 then
            return nil, 'the key holds a hash that is not a lock'
        end
    elseif version ~= '1' and version ~= '2' then
        return nil, 'the record has version ' .. version
    end
    local lock = {
        key = key, version = version, mode = 'x', token = 0, expiry = 0, since = 0,
        holder = present(string.sub(ids, 1, 16)), calls = string.sub(ids, 17), queue = values[4] or '',
        from = 0, delay = 0, units = 0, earliest = 0, limit = 0, exclusive = 0, was = 0, closes = 0,
        seen = {l = head, i = ids, x = rare, q = values[4] or ''}, pending = {},
        more = {unpack(values, 5, 4 + select('#', ...))},
    }
    if version then
        lock.mode, lock.token = string.sub(head, 2, 2), tonumber(string.sub(head, 3, 18))
        lock.expiry, lock.since = tonumber(string.sub(head, 19, 34)), tonumber(string.sub(head, 35, 50))
        local host = string.sub(head, 51)
        lock.host = host ~= NO_STATION and host or nil
    end
    if rare ~= '' then
        local from, delay, units, earliest, limit, exclusive, was, closes = string.match(rare, RARE)
        lock.from, lock.delay, lock.units = tonumber(from), tonumber(delay), tonumber(units)
        lock.earliest, lock.limit, lock.exclusive = tonumber(earliest), tonumber(limit), tonumber(exclusive)
        lock.was, lock.closes = tonumber(was), tonumber(closes)
    end
    if (version and #head ~= HEAD_BYTES) or not (lock.token and lock.expiry and lock.since and lock.from)
        or lock.token >= TOKEN_END then
        return nil, 'the record is damaged'
    end
    lock.newest = math.max(lock.token, lock.expiry)
    return lock
end

-- Writes what is pending. When memory is full, Redis 6.2 refuses HSET, but not after another write: HDEL of
-- a field that never is. Only what gives up or keeps a lease may do that (lock.must).
local function write(lock)
    if #lock.pending == 0 then
        return
    end
    local done = redis.pcall('HSET', lock.key, unpack(lock.pending))
    if type(done) == 'table' and done.err then
        if lock.must then
            redis.call('HDEL', lock.key, '-')
        end
        redis.call('HSET', lock.key, unpack(lock.pending))
    end
    lock.pending = {}
end

local PENDING_MOST = 1000  -- Lua cannot pass on as many arguments as one likes

-- A field to be written with the record, whatever it was.
local function set(lock, field, value)
    if #lock.pending >= PENDING_MOST then
        write(lock)
    end
    lock.pending[#lock.pending + 1], lock.pending[#lock.pending + 2] = field, value
end

local function rare_of(lock)
    if lock.from + lock.delay + lock.units + lock.exclusive + lock.was + lock.closes == 0 then
        return ''
    end
    return string.format('%d %d %d %d %d %d %d %d', lock.from, lock.delay, lock.units, lock.earliest,
                         lock.limit, lock.exclusive, lock.was, lock.closes)
end

-- Writes all that is pending or differs from what was read. `ends`: something in it lasts so long.
local function save(lock, retention, ends)
    if lock.plain then
        local plain = lock.plain
        lock.plain = nil
        save(lock, retention, ends)
        lock.plain = plain
        return keep_plain(lock)
    end
    local seen = lock.seen
    local fields = {
        l = head_of(lock.version or '1', lock.mode, lock.token, lock.expiry, lock.since, lock.host),
        i = (lock.holder or '') .. lock.calls, x = rare_of(lock), q = lock.queue,
    }
    local nothing = not lock.version and lock.token == 0 and fields.i .. fields.x .. fields.q == ''
    if #lock.pending == 0 and nothing then
        return
    end
    for _, field in ipairs({'l', 'i', 'x', 'q'}) do
        if fields[field] ~= seen[field] then
            set(lock, field, fields[field])
        end
    end
    if #lock.pending == 0 then
        return
    end
    write(lock)
    local newest = math.max(lock.token, lock.expiry, ends)
    local nobodys = newest == ends and fields.i .. fields.x .. fields.q == '' and lock.token == 0
    if lock.brief and nobodys then
        redis.call('PEXPIREAT', lock.key, decimal((ends + CLOSED_KEEP_US) / 1000))
    elseif not lock.version or fields.x ~= '' or seen.x ~= ''
        or step_of(newest) ~= step_of(lock.newest) then
        keep_for(lock.key, newest, retention)
    end
    lock.seen, lock.version, lock.newest = fields, lock.version or '1', math.max(lock.token, lock.expiry)
end

-- The exclusive lease has ended.
local function drop(lock)
    lock.lost = nil
    lock.holder, lock.calls, lock.host, lock.delay, lock.was, lock.closes = nil, '', nil, 0, 0, 0
    set(lock, 'o', '')
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
