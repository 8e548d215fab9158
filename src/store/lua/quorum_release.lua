#!lua flags=allow-oom
-- Ends a lease at one node, says what became of it there, and does for the caller's next waiter what
-- quorum_try does, unless it is the turn of another station. Safe to repeat with the same answer for 5 s.
--
-- KEYS 1 the lock    2 the node
-- ARGV 1 holder id   2 token   3 station that asks   4 what is known of the node's memory. Only with a next
--      waiter: 5 its stamp, from 6 on what it wants: see _quorum_try.lua
-- Reply {code, now, newer_token, tried...}
--       code 0 no trace of it   1 held until now   2 not held here (any more)   3 a higher fence is here
--            5 the key is no such lock: why in the place of newer_token
--       tried: nothing, or the reply of quorum_try
-- O(1): TIME, HMGET twice, HSET twice, PUBLISH; with tickets O(stations).
--@include _head.lua
--@include _quorum.lua
--@include _quorum_try.lua
local now = now_us()
local id, ours, station = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local lock, why = open(KEYS[1])
if not lock then
    return {5, now, why}
end
local code, newer, ended = 0, 0, false
if verdict_of(lock, id) == 'h' then
    code = 1
elseif lock.holder == id and lock.token <= ours then
    code, ended = (now < lock.expiry and lock.token == ours) and 1 or 2, true
    if lock.host and lock.host ~= station then
        redis.call('PUBLISH', 'holdfast:' .. lock.host, 'e' .. id .. lock.key)
    end
elseif lock.holder == id then
    code, newer = 3, lock.token
elseif lock.fence > ours then
    code, newer = 3, lock.fence
elseif lock.fence == ours and not lock.holder then
    code = 2
end
if code ~= 3 or ended then
    close(lock, id, code == 1 and 'h' or 'e', now)
end
if ended and (now < lock.expiry or lock.delay == 0) then
    drop(lock)
end
local tried
if ARGV[5] then
    local want = wanted(6)
    local node, wait = take_part(KEYS[2], ARGV[4], now)
    local other, stamp, waiting = first_waiter(lock, station, now)
    if not node then
        tried = {7, now, wait}
    elseif other and stamp < ARGV[5] and not lives(lock, now) then
        set_ticket(lock, station, want.mine, now)
        tried = {3, now, fence_of(lock, node), 0, 50000, '', waiting, ''}
    else
        tried = try(lock, node, want, now)
    end
end
save(lock, now)
if ended then
    changed(lock.key)
end
if not lock.holder then
    tell(lock, station, now)
end
local reply = {code, now, newer}
for at = 1, tried and #tried or 0 do
    reply[3 + at] = tried[at]
end
return reply
