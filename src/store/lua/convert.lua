#!lua flags=allow-oom
-- Makes an exclusive lease a shared one, at once, with the same holder id and token; others who want to
-- share are told. Safe to repeat, also late: once the lease has been made exclusive again it has another
-- token, and is left alone.
--
-- KEYS 1 the lock's record      2 the canary                3 its plain key, if it has one
-- ARGV 1 holder id, 16 bytes      2 the lease's token      3 how long to keep it, us
--      4 station that asks, 8 bytes                        5 retention of the record, ms
--      6 what is known of the store's memory: see _memory.lua
-- Reply {1, time, token, mode}    done; as it is held now: mode s
--       {0, time, newest_token}   it is not this lease's (any more)
--       {4, time, why}            the key is not such a lock
--       {9, time}                 it was revoked, and is not renewed any more
--       {7, time}                 the memory is lost, nothing was done
--       {8, time, wait_us}        what stands is not certain yet, as the memory was lost
-- O(1): TIME, HMGET, HSET; now and then a purge of closed ids; with tickets O(stations).
--@include _head.lua
--@include _record.lua
--@include _memory.lua
--@include _close.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local wait = closed_for(KEYS[2], ARGV[6], now)
if not wait then
    return {7, now}
elseif wait > 0 then
    return {8, now, wait}
end
if KEYS[3] then
    return {4, now, EXCLUSIVE_ONLY}
end
local id, ours, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lock, why = open(KEYS[1], 'o')
if not lock then
    return {4, now, why}
end
lock.must = true
local one = find(lock, id)
local ends
if one and one.token == ours and now < one.expiry then
    ends = renewed_until(one.expiry, one.closes, now, keep)
elseif lock.holder == id and lock.token == ours and now < lock.expiry then
    ends = renewed_until(lock.expiry, lock.closes, now, keep)
    one = nil
else
    return {0, now, lock.token}
end
if not ends then
    return {9, now}
end
if one then
    one.expiry = ends
else
    -- A late copy of the command that made it exclusive shall do nothing.
    for at = 1, #lock.calls, 16 do
        local call = string.sub(lock.calls, at, at + 15)
        if call ~= id then
            close(lock, call, 'e', now)
        end
    end
    local owner, data = texts_in(lock.more[1])
    one = {expiry = ends, token = lock.token, since = lock.since, units = 1, delay = lock.delay,
           was = lock.was, closes = lock.closes, calls = lock.calls, host = lock.host or '',
           owner = owner, data = data}
    drop(lock)
    lock.mode, lock.units, lock.exclusive, lock.earliest = 's', 1, lock.token, one.expiry
end
set(lock, 'h' .. id, pack(one))
save(lock, tonumber(ARGV[5]), one.expiry)
changed(lock.key)
tell(lock, ARGV[4], now)
return {1, now, one.token, lock.mode}
