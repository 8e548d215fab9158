#!lua flags=no-writes
-- Reads locks at one node of a quorum.
--
-- KEYS the locks
-- Reply {now, entry, entry, ...}, for each lock {} no record, {-1} no such lock, or
--       {fence, waiting} if nobody holds it here, else
--       {fence, waiting, token, left_us, held_for_us, delay_us, closes_in_us or 0, station, holder id, calls,
--        texts}
-- O(n): TIME, HMGET for each.
--@include _head.lua
--@include _quorum.lua
local now = now_us()
local reply = {now}
for i, key in ipairs(KEYS) do
    local lock = open(key)
    if not lock then
        reply[i + 1] = {-1}
    elseif lock.step < 0 then
        reply[i + 1] = {}
    else
        local _, _, waiting = first_waiter(lock, '', now)
        local entry = {lock.fence, waiting}
        if lives(lock, now) then
            local closes = lock.closes > 0 and math.max(1, lock.closes - now) or 0
            entry = {lock.fence, waiting, lock.token, lock.expiry - now, now - lock.since, lock.delay, closes,
                     lock.host or '', lock.holder, lock.calls, lock.texts}
        end
        reply[i + 1] = entry
    end
end
return reply
