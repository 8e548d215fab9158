#!lua flags=allow-oom
-- Who is there: the stations that listen on an inbox, in a sorted set by when each was last heard of.
--
-- KEYS 1 the set
-- ARGV 1 member that comes or stays, or ''   2 member that goes, or ''   3 message to all of them, or ''
-- Reply {time, member, listeners, member, listeners, ...}
--   member     station 8 bytes, then the daemon's name
--   listeners  who got the message there; 0 also if there was none
-- Stations that were not heard of for 10 s, or that are of a time to come (the clock was set back), are
-- removed. O(stations): TIME, ZADD, ZREM, ZREMRANGEBYSCORE, ZRANGE, PUBLISH for each.
--@include _head.lua
local LIVE_US, AHEAD_US, KEEP_MS = 10000000, 1000000, 60000
local now = now_us()
if ARGV[1] ~= '' then
    redis.call('ZADD', KEYS[1], decimal(now), ARGV[1])
    redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
if ARGV[2] ~= '' then
    redis.call('ZREM', KEYS[1], ARGV[2])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', decimal(now - LIVE_US))
redis.call('ZREMRANGEBYSCORE', KEYS[1], decimal(now + AHEAD_US), '+inf')
local reply = {now}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local listeners = 0
    if ARGV[3] ~= '' then
        listeners = redis.call('PUBLISH', 'holdfast:' .. string.sub(member, 1, 8), ARGV[3])
    end
    reply[#reply + 1] = member
    reply[#reply + 1] = listeners
end
return reply
