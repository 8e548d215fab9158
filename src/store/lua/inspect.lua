#!lua flags=no-writes
-- Reads locks without changing anything.
--
-- KEYS n  the locks' records
-- Reply {time, entry, entry, ...}, an entry for each key:
--   {}                                                   no record
--   {mode, newest_token, newest_exclusive, limit, waiting, holder, holder, ...}, each holder
--        {token, held_for_us, left_us, units, owner, metadata}
--   {-1, why}                                            the key is not such a lock
-- O(n): TIME, and for each HMGET; of shared locks and permits also HGETALL.
--@include _record.lua
--@include _crowd.lua
--@include _queue.lua
local now = now_us()
local reply = {now}
for i, key in ipairs(KEYS) do
    local lock, why = open(key, 'g', 'o', 'd')
    if not lock then
        reply[i + 1] = {-1, why}
    elseif not lock.version then
        reply[i + 1] = {}
    else
        local waiting = 0
        for _, ticket in ipairs(tickets(lock, now)) do
            waiting = waiting + ticket.waiting
        end
        local mode = lock.mode or 'x'
        local entry = {mode, lock.token, mode == 'x' and lock.token or lock.exclusive, lock.limit, waiting}
        if held(lock, now) then
            local since = tonumber(lock.more[1] or '0') or now
            entry[6] = {lock.token, now - since, lock.expiry - now, 1, lock.more[2] or '',
                        lock.more[3] or ''}
        elseif lock.units > 0 then
            local all = redis.call('HGETALL', key)
            for at = 1, #all, 2 do
                if #all[at] == 17 and string.sub(all[at], 1, 1) == 'h' then
                    local one = unpacked(all[at + 1])
                    if now < one.expiry then
                        entry[#entry + 1] = {one.token, now - one.since, one.expiry - now, one.units,
                                             one.owner, one.data}
                    end
                end
            end
        end
        reply[i + 1] = entry
    end
end
return reply
