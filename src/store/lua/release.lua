#!lua flags=allow-oom
-- Ends a lease, says whether exclusion held until now, and hands the lock on: to the caller's own next
-- waiter if it brought one and it is its turn, else the stations whose turn it is are told. Safe to
-- repeat for 5 s with the same answer.
--
-- KEYS 1 the lock's record        2 the canary
-- ARGV 1 holder id, 16 bytes      2 the lease's token       3 station that asks, 8 bytes
--      4 floor: a token already seen                        5 retention of the record, ms
--      6 what is known of the store's memory: see _memory.lua
--      7 to 20 what the next waiter wants: see _take.lua; absent without one
--      21 not_after: nothing is handed to it if TIME is later, us
-- Reply {code, time, newer_token, handed...}
--       code 0 no trace of such a lease          1 held throughout; free now
--            2 had expired; not taken since      3 was taken by a later grant: newer_token
--            4 the key is not such a lock: why in the place of newer_token
--       handed: nothing, or the reply of take() in _take.lua
-- O(1): TIME, HMGET, HDEL, HSET; with tickets O(stations); now and then a purge of closed ids.
--@include _record.lua
--@include _memory.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local id, ours, station = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local wait = closed_for(KEYS[2], ARGV[6], now)
local want = ARGV[7] and now <= tonumber(ARGV[21]) and wanted(7, station)
local lock, why
if want then
    lock, why = open(KEYS[1], 'c' .. id, 'n', 's', 'c' .. want.id, 'c' .. want.call)
else
    lock, why = open(KEYS[1], 'c' .. id, 'n', 's')  -- a field that is not there costs a search
end
if not lock then
    return {4, now, why}
end
local closed, count, since = lock.more[1], lock.more[2], lock.more[3]
local code, newer, ended = 0, 0, false
local one = find(lock, id)
if owns(lock, id, ours) then
    code, ended = now < lock.expiry and 1 or 2, true
    close(lock.key, id, code == 1 and 'h' or 'e', now, count, since, true)
    if code == 2 and lock.delay > 0 then
        lock.from, lock.changed = lock.expiry + lock.delay, true
    end
    if lock.host and lock.host ~= station then
        redis.call('PUBLISH', 'holdfast:' .. lock.host, 'e' .. id .. lock.key)
    end
    lock.holder, lock.delay, lock.changed = nil, 0, lock.changed or lock.delay > 0
elseif one and is_lease(one.token, one.was, ours) then
    code, ended = now < one.expiry and 1 or 2, true
    close(lock.key, id, code == 1 and 'h' or 'e', now, count, since, false)
    redis.call('HDEL', lock.key, 'h' .. id)
    if code == 2 and one.delay > 0 then
        lock.from = math.max(lock.from, one.expiry + one.delay)
    end
    if one.host ~= station and one.host ~= '' then
        redis.call('PUBLISH', 'holdfast:' .. one.host, 'e' .. id .. lock.key)
    end
    lock.units, lock.changed = lock.units - one.units, true
elseif closed and string.sub(closed, 1, 1) == 'h' then
    code = 1
elseif wait ~= 0 then
    -- Forgotten, and perhaps released before that. Its daemon shall not put it back.
    save(lock, tonumber(ARGV[5]), now, {})
    close(lock.key, id, 'e', now, count, since, false)
elseif lock.mode == 'x' and lock.token > ours then
    code, newer = 3, lock.token
elseif lock.exclusive > ours then
    code, newer = 3, lock.exclusive
elseif lock.version and lock.token >= ours and not lock.holder then
    code = 2
end
local reply = {code, now, newer}
local handed = want and not wait and {7, now} or want and take(lock, want, wait, lock.more[4] or lock.more[5], now, tonumber(ARGV[4]),
                             tonumber(ARGV[5]))
if lock.changed then
    save(lock, tonumber(ARGV[5]), now, {})
end
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
