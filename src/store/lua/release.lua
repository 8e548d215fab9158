#!lua flags=allow-oom
-- Ends a lease, says whether exclusion held until now, and hands the lock on: to the caller's own next
-- waiter if it brought one and it is its turn, else the stations whose turn it is are told. Safe to
-- repeat for 5 s with the same answer.
--
-- KEYS 1 the lock's record        2 the canary            3 its plain key, if it has one
-- ARGV 1 holder id, 16 bytes      2 the lease's token       3 station that asks, 8 bytes
--      4 retention of the record, ms                        5 what is known of the store's memory: see
--      _memory.lua. Absent without a next waiter:
--      6 not_after: nothing is handed to it if TIME is later, us. 0 if there is a plain key
--      7 floor: a token already seen                        from 8 on what it wants: see _take.lua
-- Reply {code, time, newer_token, handed...}
--       code 0 no trace of such a lease          1 held throughout; free now
--            2 had expired; not taken since      3 was taken by a later grant: newer_token
--            4 the key is not such a lock: why in the place of newer_token
--       handed: nothing, or the reply of take() in _take.lua
-- O(1): TIME, HMGET, HSET; with tickets O(stations); now and then a purge of closed ids.
--@include _head.lua
local now = now_us()
local id, ours, station, retention = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

-- Of a lease that is held and plain, as most are, and nobody waits: ended here, as below, without all that
-- is needed there.
if not ARGV[6] then
    local key = KEYS[1]
    local seen = redis.pcall('HMGET', key, 'l', 'i', 'x', 'q', 'n')
    if not seen.err and seen[1] and string.sub(seen[1], 1, 1) == '1' and #seen[1] == HEAD_BYTES
        and (seen[3] or '') == '' and (seen[4] or '') == '' and string.sub(seen[2] or '', 1, 16) == id
        and tonumber(string.sub(seen[1], 3, 18)) == ours
        and now < (tonumber(string.sub(seen[1], 19, 34)) or 0) then
        local count, since = closed_count(seen[5])
        if not to_be_purged(count, since, now)
            and type(redis.pcall('HSET', key, 'i', '', 'o', '', 'n', count_text(count + 1, since),
                                 'c' .. id, 'h' .. decimal(now))) == 'number' then
            local host = string.sub(seen[1], 51)
            if host ~= NO_STATION and host ~= station then
                redis.call('PUBLISH', 'holdfast:' .. host, 'e' .. id .. key)
            end
            changed(key)
            return {1, now, 0}
        end
    end
end

--@include _memory.lua
--@include _record.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local wait = closed_for(KEYS[2], ARGV[5], now)
local want = ARGV[6] and now <= tonumber(ARGV[6]) and wanted(8, station)
local lock, why
if want then
    lock, why = open(KEYS[1], 'c' .. id, 'c' .. want.id, 'c' .. want.call)
else
    lock, why = open(KEYS[1], 'c' .. id)
end
if not lock then
    return {4, now, why}
end
coexist(lock, KEYS[3], now)
lock.must = true
local closed = lock.more[1]
local code, newer, ended = 0, 0, false
local one = find(lock, id)
if owns(lock, id, ours) then
    code, ended = now < lock.expiry and not lock.lost and 1 or 2, true
    close(lock, id, code == 1 and 'h' or 'e', now)
    if code == 2 and lock.delay > 0 then
        lock.from = lock.expiry + lock.delay
    end
    if lock.host and lock.host ~= station then
        redis.call('PUBLISH', 'holdfast:' .. lock.host, 'e' .. id .. lock.key)
    end
    drop(lock)
elseif one and is_lease(one.token, one.was, ours) then
    code, ended = now < one.expiry and 1 or 2, true
    close(lock, id, code == 1 and 'h' or 'e', now)
    redis.call('HDEL', lock.key, 'h' .. id)
    if code == 2 and one.delay > 0 then
        lock.from = math.max(lock.from, one.expiry + one.delay)
    end
    if one.host ~= station and one.host ~= '' then
        redis.call('PUBLISH', 'holdfast:' .. one.host, 'e' .. id .. lock.key)
    end
    lock.units = lock.units - one.units
elseif closed and string.sub(closed, 1, 1) == 'h' then
    code = 1
elseif wait ~= 0 then
    -- Forgotten, and perhaps released before that. Its daemon shall not put it back.
    close(lock, id, 'e', now)
elseif lock.mode == 'x' and lock.token > ours then
    code, newer = 3, lock.token
elseif lock.exclusive > ours then
    code, newer = 3, lock.exclusive
elseif lock.version and lock.token >= ours and not lock.holder then
    code = 2
end
local reply = {code, now, newer}
local handed
if want and not wait then
    handed = {7, now}
elseif want then
    handed = take(lock, want, wait, lock.more[2] or lock.more[3], now, tonumber(ARGV[7]), retention)
end
save(lock, retention, now)
if handed then
    for at = 1, #handed do
        reply[3 + at] = handed[at]
    end
end
if not handed or handed[1] ~= 1 then
    if ended then
        changed(lock.key)
    end
    tell(lock, station, now)
end
return reply
