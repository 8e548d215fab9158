-- Closing ids: holder and call ids that are never granted anything again.

-- Forgets closed ids that are older than CLOSED_KEEP_US, and the older half of the rest if there
-- are too many all the same. O(64), at most once in 5 s or in 32 closings. Returns how many are
-- left.
local function purge_closed(key, now)
    local all, kept, gone = redis.call('HGETALL', key), {}, {}
    for i = 1, #all, 2 do
        local field = all[i]
        if #field == 17 and string.sub(field, 1, 1) == 'c' then
            local at = tonumber(string.sub(all[i + 1], 2)) or 0
            if now - at > CLOSED_KEEP_US then
                gone[#gone + 1] = field
            else
                kept[#kept + 1] = {at, field}
            end
        end
    end
    local left = #kept
    if left >= CLOSED_MOST then
        table.sort(kept, function(a, b) return a[1] < b[1] end)
        for i = 1, CLOSED_MOST / 2 do
            gone[#gone + 1] = kept[i][2]
        end
        left = left - CLOSED_MOST / 2
    end
    if #gone > 0 then
        redis.call('HDEL', key, unpack(gone))
    end
    return left
end

-- Remembers `id` as closed, with its verdict: when the record is saved.
local function close(lock, id, verdict, now)
    if not lock.closed then
        lock.closed, lock.purged = closed_count(redis.call('HGET', lock.key, 'n'))
    end
    if to_be_purged(lock.closed, lock.purged, now) then
        write(lock)
        lock.closed, lock.purged = purge_closed(lock.key, now), now
    end
    lock.closed = lock.closed + 1
    set(lock, 'c' .. id, verdict .. decimal(now))
    set(lock, 'n', count_text(lock.closed, lock.purged))
end
