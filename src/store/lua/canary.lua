#!lua flags=allow-oom
-- Looks after the canary (see _memory.lua): makes it, notices that the memory is lost, and says from
-- when on locks may be granted. Safe to repeat.
--
-- KEYS 1 the canary
-- ARGV 1 incarnation of this Redis   2 what the caller knows, see is_lost(); or '' at first
--      3 the caller's max_ttl, ms    4 how long any lease may last, us
--      5 1 if a store without a canary is new, and not one that has lost it. If it is 0, there is still
--        this: it has been up, and was not flushed, for longer than any lease lasts
--      6 1 if grants go on after a loss (async)
-- Reply {time, verdict, newest beat, open_at, max_ttl}
--       verdict 0 as it was     1 a new store     2 the memory is lost     3 max_ttl differs: nothing
--       was done
-- O(1): TIME, GET, SET; INFO if there is no canary.
--@include _record.lua
--@include _memory.lua
local function is_new(longest)
    if ARGV[5] == '1' then
        return true
    end
    local server, commands = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'commandstats')
    if type(server) ~= 'string' or type(commands) ~= 'string' then
        return false  -- an ACL may forbid it
    end
    local up = tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '0')
    return up * 1000000 > longest and not string.find(commands, 'cmdstat_flush', 1, true)
        and not string.find(commands, 'cmdstat_debug', 1, true)
end

local now = now_us()
local incarnation, known, max_ttl, longest = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local canary = redis.call('GET', KEYS[1])
-- A new ring: all beats that were seen before it mean nothing.
local verdict, open_at, ring = 0, now, string.rep(string.format('%016d', now), BEATS)
if not canary then
    verdict = (known == '' and is_new(longest)) and 1 or 2
else
    local theirs = tonumber(string.sub(canary, 17, 26))
    open_at = tonumber(string.sub(canary, 1, 16))
    if theirs ~= max_ttl then
        return {now, 3, 0, open_at, theirs}
    end
    if is_lost(canary, known == '' and string.rep('0', 16) .. incarnation or known) then
        verdict = 2
    else
        ring = ring_of(canary)
    end
end
if verdict == 2 then
    open_at = ARGV[6] == '1' and now or now + longest
end
if now - tonumber(string.sub(ring, 1, 16)) >= longest / BEATS then
    ring = string.format('%016d', now) .. string.sub(ring, 1, -17)
end
redis.call('SET', KEYS[1], string.format('%016d%010d', open_at, max_ttl) .. ring .. incarnation)
return {now, verdict, tonumber(string.sub(ring, 1, 16)), open_at, max_ttl}
