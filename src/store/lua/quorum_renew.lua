#!lua flags=allow-oom
-- Renews leases at one node of a quorum, and has the caller told of their end if it wants that.
--
-- KEYS the locks, then the node
-- ARGV 1 what is known of the node's memory    2 station that asks; then for each lock
--      holder id, token, how long to keep it (us), 1: tell this station from now on, station that must have
--      been told so far (or this one), or ''
-- Reply {now, code, fence, closes_in_us, code, fence, closes_in_us, ...}
--       code 1 renewed; closes_in is -1, or it was revoked and is renewed for so long yet
--            0 not held here: the lock is free, or has an older token of the same holder
--            8 the same, and the fence may be too high, as the node has forgotten the lock
--            2 somebody else's   3 revoked, or another station is told   4 released while it was held
--            5 no such lock
--       or {-1, now, wait_us}: the node takes no part
-- O(n): TIME, HMGET, HSET for each.
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local node, wait = take_part(KEYS[#KEYS], ARGV[1], now, true)
if not node then
    return {-1, now, wait}
end
local station = ARGV[2]

local function renew(lock, id, token, keep, adopt, from)
    local fence, stale = fence_of(lock, node), lock.memory ~= node.memory
    local alive = lives(lock, now)
    if verdict_of(lock, id) == 'h' then
        return 4, fence, -1
    elseif lock.holder ~= id or lock.token ~= token or not alive then
        local taken = alive and (lock.holder ~= id or lock.token > token)
        return taken and 2 or (stale and 8 or 0), fence, -1
    end
    if from ~= '' and lock.host ~= from and lock.host ~= station then
        return 3, fence, -1
    end
    local ends = renewed_until(lock, now, keep)
    if not ends then
        return 3, fence, -1
    end
    if adopt then
        if lock.host and lock.host ~= station then
            redis.call('PUBLISH', 'holdfast:' .. lock.host, 'm' .. id .. lock.key)
        end
        lock.host = station
    end
    lock.expiry, lock.believed = ends, 'r'
    save(lock, now)
    return 1, fence, lock.closes > 0 and lock.closes - now or -1
end

local reply = {now}
for i = 1, #KEYS - 1 do
    local at = 3 + 5 * (i - 1)
    local lock = open(KEYS[i])
    local code, fence, closes = 5, 0, -1
    if lock then
        code, fence, closes = renew(lock, ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]),
                                    ARGV[at + 3] == '1', ARGV[at + 4])
    end
    reply[3 * i - 1], reply[3 * i], reply[3 * i + 1] = code, fence, closes
end
return reply
