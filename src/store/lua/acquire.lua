#!lua
-- Grants a lock, or again to the holder who has it; or leaves a ticket and says when to look again.
--
-- KEYS 1 the lock's record    2 the canary    3 its plain key, if it has one
-- ARGV 1 not_after: do nothing if TIME is later, us (16 digits: the caller may rewrite it)
--      2 what is known of the store's memory: see _memory.lua
--      3 station that asks, 8 bytes    4 floor: a token already seen   5 retention of the record, ms
--      from 6 on what is wanted: see _take.lua; all of it if there is a plain key
-- Reply {0, time}  too late, nothing was done
--       {7, time}  the memory is lost, nothing was done
--       else as of take() in _take.lua
-- O(1): TIME, GETRANGE, HMGET, HSET; with tickets O(stations); when the earliest of shared holders or
-- permits may have expired, O(holders).
--@include _head.lua
--@include _memory.lua
local now = now_us()
if now > tonumber(ARGV[1]) then
    return {0, now}
end
local wait = closed_for(KEYS[2], ARGV[2], now)
if not wait then
    return {7, now}
end
local id, call, floor, retention = ARGV[6], ARGV[7], tonumber(ARGV[4]), tonumber(ARGV[5])

-- A lock that is free, exclusive and plain, and that nobody waits for, as most are: granted here, as take()
-- would, without all that take() needs.
local plain = not ARGV[13]
    or (ARGV[13] == 'x' and ARGV[16] == '0' and ARGV[18] == '' and ARGV[19] == '' and not KEYS[3])
if wait == 0 and plain then
    local key, seen = KEYS[1], nil
    if call == id then
        seen = redis.pcall('HMGET', key, 'l', 'i', 'x', 'q', 'c' .. id)
    else
        seen = redis.pcall('HMGET', key, 'l', 'i', 'x', 'q', 'c' .. id, 'c' .. call)
    end
    local token, expiry
    if seen.err or seen[5] or seen[6] or (seen[3] or '') ~= '' or (seen[4] or '') ~= '' then
        token = nil
    elseif seen[1] then
        token, expiry = tonumber(string.sub(seen[1], 3, 18)), tonumber(string.sub(seen[1], 19, 34))
        if string.sub(seen[1], 1, 1) ~= '1' or #seen[1] ~= HEAD_BYTES or not expiry
            or (seen[2] ~= '' and now < expiry) then
            token = nil
        end
    elseif redis.call('EXISTS', key) == 0 then
        token, expiry = 0, nil
    end
    if token and token < TOKEN_END then
        local step = expiry and step_of(math.max(token, expiry))
        token, expiry = math.max(token + 1, now, floor + 1), now + tonumber(ARGV[8])
        redis.call('HSET', key, 'l', head_of('1', 'x', token, expiry, now, ARGV[12] ~= '' and ARGV[12]),
                   'i', id .. call, 'o', texts_of(ARGV[9], ARGV[10]))
        if step_of(math.max(token, expiry)) ~= step then
            keep_for(key, math.max(token, expiry), retention)
        end
        changed(key)
        return {1, now, token}
    end
end

--@include _record.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local want = wanted(6, ARGV[3])
local lock, why = open(KEYS[1], 'c' .. id, 'c' .. call)
if not lock then
    return {4, now, why}
end
coexist(lock, KEYS[3], now)
return take(lock, want, wait, lock.more[1] or lock.more[2], now, floor, retention)
