#!lua
-- COMMIT at one node of a quorum: writes a token, if the attempt still owns the lock.
--
-- KEYS 1 the lock    2 the node
-- ARGV 1 what is known of the node's memory   2 nonce   3 token   4 1: others may have been told of it
-- Reply {1, now}        written
--       {0, now}        the attempt is not the owner any more, or a higher fence is there
--       {5, now, why}   the key is no such lock
--       {7, now, wait_us}   the node takes no part
-- O(1): TIME, HMGET twice, HSET twice, PUBLISH.
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
local token = tonumber(ARGV[3])
if not lives(lock, now) or lock.nonce ~= ARGV[2] or token <= fence_of(lock, node)
    or token >= TOKEN_END then
    return {0, now}
end
set_fence(lock, node, token)
lock.token = token
if ARGV[4] == '1' and lock.believed == '0' then
    lock.believed = '1'
end
save(lock, now)
note(node, token)
changed(lock.key)
return {1, now}
