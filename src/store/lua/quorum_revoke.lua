#!lua flags=allow-oom
-- Takes a lock away from its holder at one node of a quorum: see revoke.lua.
--
-- KEYS 1 the lock
-- ARGV 1 whose: a token, or 0 for whoever has it   2 until when it is renewed: us from now on
--      3 how: r the holder is asked to yield   f it is told that the lease is lost   i ended at once
--      4 station that asks   5 the reason, for people
-- Reply {1, now} nobody has it here, {1, now, token, held_for_us, left_us, texts} done, {5, now, why}
-- O(1): TIME, HMGET, HSET, PUBLISH.
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local token, closes_in, how = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
if not lives(lock, now) or lock.token == 0 or (token ~= 0 and token ~= lock.token) then
    return {1, now}
end
local reply = {1, now, lock.token, now - lock.since, lock.expiry - now, lock.texts}
if lock.host then
    local numbers = string.format('%012d%03d', closes_in, #ARGV[5])
    redis.call('PUBLISH', 'holdfast:' .. lock.host, 'r' .. how .. lock.holder .. numbers .. ARGV[5] .. lock.key)
end
if how == 'i' then
    close(lock, lock.holder, 'e', now)
    drop(lock)
    save(lock, now)
    changed(lock.key)
    tell(lock, ARGV[4], now)
else
    lock.closes = lock.closes > 0 and math.min(lock.closes, now + closes_in) or now + closes_in
    save(lock, now)
end
return reply
