#!lua flags=no-writes
-- Reads locks without changing anything.
--
-- KEYS n  the locks' records; the plain keys of those that have one
-- ARGV    for each record 1 if it has one, else nothing; none at all if no record has
-- Reply {time, entry, entry, ...}, an entry for each key:
--   {}                                                   no record
--   {mode, newest_token, newest_exclusive, limit, waiting, holder, holder, ...}, each holder
--        {token, held_for_us, left_us, units, owner, metadata}; token 0: another client, by the plain key
--   {-1, why}                                            the key is not such a lock
-- O(n): TIME, and for each HMGET; of shared locks and permits also HGETALL.
--@include _head.lua
--@include _record.lua
--@include _crowd.lua
--@include _queue.lua
local now = now_us()
local reply = {now}
local count = #ARGV > 0 and #ARGV or #KEYS
local plain_at = count
for i = 1, count do
    local key = KEYS[i]
    local lock, why = open(key, 'o')
    if ARGV[i] == '1' then
        plain_at = plain_at + 1
        if lock then
            coexist(lock, KEYS[plain_at], now)
        end
    end
    if not lock then
        reply[i + 1] = {-1, why}
    elseif not lock.version and not lock.theirs then
        reply[i + 1] = {}
    else
        local waiting = 0
        for _, ticket in ipairs(tickets(lock, now)) do
            waiting = waiting + ticket.waiting
        end
        local newest = lock.mode == 'x' and lock.token or lock.exclusive
        local entry = {lock.mode, lock.token, newest, lock.limit, waiting}
        if held(lock, now) and not lock.lost then
            local owner, data = texts_in(lock.more[1])
            entry[6] = {lock.token, now - lock.since, lock.expiry - now, 1, owner, data}
        elseif lock.theirs then
            entry[6] = {0, 0, lock.theirs, 1, 'a client of the plain key ' .. lock.plain, ''}
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
