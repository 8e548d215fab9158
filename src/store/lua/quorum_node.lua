#!lua flags=allow-oom
-- Looks after a node of a quorum: whether it may take part, and what it has to do before (quorum_nodes.hpp).
-- Safe to repeat.
--
-- KEYS 1 the node (see _quorum.lua)
-- ARGV 1 incarnation of this Redis, as the caller was told   2 what all daemons must agree on   3 how long any lease may last, us
--      4 name of a new memory, 16 bytes; or '': change nothing, if one would have to begin
--      5 1: no node has ever had one, so this one may take part at once
--      6 name of the memory to take part with; or ''   7 floor: no fence of another node is higher
--      8 1: what a proposal may be by now is a floor, too, as too few others have their memory
--      9 1: its clock was set forward, so nothing is granted for as long as any lease may last
-- Reply {now, state, left_us, memory, highest fence, incarnation as it is now}
--       state 0 takes part   1 left_us before it may   2 may, once it is told a floor
--             3 it belongs to others: what they agree on in the place of memory   4 no memory has begun
--             5 its clock was set forward: left_us before it takes part
-- O(1): TIME, INFO, HMGET, HSET.
--@include _head.lua
--@include _incarnation.lua
local function longer_up_than(longest)
    local server, commands = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'commandstats')
    if type(server) ~= 'string' or type(commands) ~= 'string' then
        return false  -- an ACL may forbid it
    end
    -- All that can take a record away, and what makes this forget that it was there.
    for _, command in ipairs({'flush', 'debug', 'replicaof', 'slaveof', 'del', 'unlink', 'swapdb', 'move',
                              'rename', 'restore', 'config|resetstat'}) do
        if string.find(commands, 'cmdstat_' .. command, 1, true) then
            return false
        end
    end
    return tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '0') * 1000000 > longest
end

local AHEAD_US = 10000000  -- as in _quorum.lua
local now = now_us()
local incarnation, is_replica = incarnation_now(ARGV[1])
local longest = tonumber(ARGV[3])
local m = redis.call('HMGET', KEYS[1], 'n', 'i', 'c', 'r', 'y', 'E', 'h0', 'h1', 'd', 't')
if m[1] and m[3] ~= ARGV[2] then
    return {now, 3, 0, m[3], 0, incarnation}
end
local highest = math.max(tonumber(m[6] or '0'), tonumber(m[7] or '0'), tonumber(m[8] or '0'))
local name, ready_at, part = m[1], tonumber(m[4] or '0'), m[5] == '1'
if name and has_only_forgotten(m[2], incarnation, is_replica, now - tonumber(m[10] or '0'), GAP_US) then
    m[2] = incarnation
    redis.call('HSET', KEYS[1], 'i', incarnation)
end
if not name or m[2] ~= incarnation then
    if ARGV[4] == '' then
        return {now, 4, 0, '', highest, incarnation}
    end
    name, part, ready_at = ARGV[4], ARGV[5] == '1' and not m[1], now
    if not part and not longer_up_than(longest) then
        ready_at = now + longest
    end
    redis.call('HSET', KEYS[1], 'n', name, 'i', incarnation, 'c', ARGV[2], 'r', decimal(ready_at),
               'y', part and '1' or '', 'E', decimal(highest), 'b', decimal(now), 'h0', '0', 'h1', '0')
elseif not part and ARGV[5] == '1' and ARGV[4] ~= '' and highest == 0 then
    part = true  -- another daemon was here just before
    redis.call('HSET', KEYS[1], 'y', '1')
end
redis.call('HSET', KEYS[1], 't', decimal(now))
local doubted = tonumber(m[9] or '0')
if ARGV[9] == '1' then
    doubted = now + longest
    redis.call('HSET', KEYS[1], 'd', decimal(doubted))
elseif math.max(doubted, ready_at) > now + longest then  -- the clock was set back
    doubted, ready_at = math.min(doubted, now + longest), math.min(ready_at, now + longest)
    redis.call('HSET', KEYS[1], 'd', decimal(doubted), 'r', decimal(ready_at))
end
if not part and ARGV[6] == name and now >= ready_at then
    highest = math.max(highest, tonumber(ARGV[7]), ARGV[8] == '1' and now + AHEAD_US or 0)
    part = true
    redis.call('HSET', KEYS[1], 'y', '1', 'E', decimal(highest))
end
if part and now < doubted then
    return {now, 5, doubted - now, name, highest, incarnation}
elseif part then
    return {now, 0, 0, name, highest, incarnation}
end
return {now, now < ready_at and 1 or 2, math.max(0, ready_at - now), name, highest, incarnation}
