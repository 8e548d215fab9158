#!lua flags=allow-oom
-- Puts a lease that is held at other nodes of a quorum at this one, too, as it is at one of them.
--
-- KEYS 1 the lock    2 the node
-- ARGV 1 what is known of the node's memory   2 holder id   3 token   4 nonce   5 how long to keep it, us
--      6 a fence that is no lower than those of a majority of other nodes, read since this node takes part;
--        or ''   7 held for, us   8 lock delay, us   9 closes in, us, or 0   10 station to tell, or ''
--      11 calls   12 texts, as in the record
-- Reply {1, now} done   {0, now} not: released, taken, or a higher fence   {5, now, why}   {7, now, wait_us}
-- O(1): TIME, HMGET twice, HSET twice.
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local node, wait = take_part(KEYS[2], ARGV[1], now)
if not node then
    return {7, now, wait}
end
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
local id, token, closes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[9])
local fence = fence_of(lock, node)
if lock.memory ~= node.memory and ARGV[6] ~= '' then
    fence = math.max(lock.fence, tonumber(ARGV[6]))
end
local taken = lives(lock, now) and (lock.holder ~= id or lock.token > token)
if taken or fence > token or verdict_of(lock, id) or (lives(lock, now) and lock.token == token) then
    return {0, now}
end
set_fence(lock, node, token)
lock.token, lock.holder, lock.nonce, lock.calls, lock.texts = token, id, ARGV[4], ARGV[11], ARGV[12]
lock.expiry, lock.since, lock.delay = now + tonumber(ARGV[5]), now - tonumber(ARGV[7]), tonumber(ARGV[8])
lock.closes = closes > 0 and now + closes or 0
lock.expiry = closes > 0 and math.min(lock.expiry, lock.closes) or lock.expiry
lock.host, lock.believed = ARGV[10] ~= '' and ARGV[10] or nil, 'r'
save(lock, now)
note(node, token)
return {1, now}
