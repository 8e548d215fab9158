#!lua flags=allow-oom
-- Looks after the canary (see _memory.lua): makes it, notices that the memory is lost, and says from
-- when on locks may be granted. Safe to repeat.
--
-- KEYS 1 the canary
-- ARGV 1 incarnation of this Redis, its length in 3 digits before it; as the caller was told
--      2 what the caller knows, see is_lost(); or '' at first
--      3 the caller's max_ttl, ms    4 how long any lease may last, us
--      5 1 if a store without a canary is new, and not one that has lost it. If it is 0, there is still
--        this, if it is no Cluster: it has been up, and was not flushed, for longer than any lease lasts
--      6 when grants go on after a loss: 0 when the longest lease has passed (safe); 1 at once (async);
--        2 the longest lease after a majority of nodes is known to follow this Redis (strict)
--      7 1 if the clock was set forward, or another slot's memory came along, so that leases may have ended
--        early: then they never go on at once
--      8 1 if that majority is known now
--      9 in a Cluster: nothing is granted before this in any case, us; and the canary goes when nobody has
--        looked for a day, as its slot may go elsewhere. Else ''
-- Reply {time, verdict, newest beat, open_at, max_ttl, incarnation as it is now}
--       verdict 0 as it was     1 a new store     2 the memory is lost, or the clock was set forward
--               3 max_ttl differs: nothing was done
-- O(1): TIME, INFO, GET, SET.
--@include _head.lua
--@include _memory.lua
--@include _incarnation.lua
local KEEP_MS = 86400000
local function is_new(longest)
    if ARGV[5] == '1' then
        return true
    end
    if ARGV[9] ~= '' then
        return false  -- in a Cluster its slots may have been lost elsewhere, before they came here
    end
    local server, commands = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'commandstats')
    if type(server) ~= 'string' or type(commands) ~= 'string' then
        return false  -- an ACL may forbid it
    end
    local up = tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '0')
    if up * 1000000 <= longest then
        return false
    end
    for _, command in ipairs({'flush', 'debug', 'replicaof', 'slaveof'}) do  -- all that can empty it
        if string.find(commands, 'cmdstat_' .. command, 1, true) then
            return false
        end
    end
    return true
end

local now = now_us()
local max_ttl, longest = tonumber(ARGV[3]), tonumber(ARGV[4])
local told = string.sub(ARGV[1], 4)
local incarnation, is_replica = incarnation_now(told)
local labelled = string.format('%03d', #incarnation) .. incarnation
local known = ARGV[2] ~= '' and string.sub(ARGV[2], 1, 16) .. labelled or ''
local canary = redis.call('GET', KEYS[1])
if canary and has_only_forgotten(string.sub(incarnation_of(canary), 4), incarnation, is_replica,
                                 now - tonumber(string.sub(ring_of(canary), 1, 16)), longest / BEATS + GAP_US) then
    canary = string.sub(canary, 1, WHOSE - 1) .. labelled .. ring_of(canary)
end
-- A new ring: all beats that were seen before it mean nothing.
local verdict, open_at, ring = 0, now, string.rep(string.format('%016d', now), BEATS)
if not canary then
    -- What the caller has to say of the one that it was told of is not said of another.
    local same = incarnation == told or has_forgotten(told, incarnation)
    verdict = (known == '' and same and is_new(longest)) and 1 or 2
else
    local theirs = tonumber(string.sub(canary, 17, 26))
    open_at = tonumber(string.sub(canary, 1, 16))
    if open_at ~= SEALED then
        -- Not later than if it was said now: the clock may have been set back since.
        open_at = math.min(open_at, now + longest)
    end
    if theirs ~= max_ttl then
        return {now, 3, 0, open_at, theirs, incarnation}
    end
    if is_lost(canary, known == '' and string.rep('0', 16) .. labelled or known) then
        verdict = 2
    else
        ring = ring_of(canary)
    end
end
local strict = ARGV[6] == '2'
if verdict == 2 then
    open_at = (strict and SEALED) or (ARGV[6] == '1' and now) or now + longest
elseif open_at == SEALED and (not strict or ARGV[8] == '1') then
    open_at = now + longest
end
if ARGV[7] == '1' and open_at ~= SEALED then
    verdict, open_at = 2, now + longest
end
if ARGV[9] ~= '' then
    open_at = math.max(open_at, math.min(tonumber(ARGV[9]), now + longest))
end
if open_at <= now then
    open_at = 0  -- it does not come again if the clock is set back
end
if now - tonumber(string.sub(ring, 1, 16)) >= longest / BEATS then
    ring = string.format('%016d', now) .. string.sub(ring, 1, -17)
end
local text = string.format('%016d%010d', open_at, max_ttl) .. labelled .. ring
if ARGV[9] == '' then
    redis.call('SET', KEYS[1], text)
else
    redis.call('SET', KEYS[1], text, 'PX', KEEP_MS)
end
return {now, verdict, tonumber(string.sub(ring, 1, 16)), open_at, max_ttl, incarnation}
