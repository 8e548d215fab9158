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

-- Ends the lease that stands in the record, if `ends_lease`, and remembers `id` as closed.
--
-- The lease's fields are emptied, not deleted: a small hash is a list that is searched from its
-- front, and there they shall stay, before the closed ids. When memory is full, Redis 6.2 refuses
-- HSET, but not after another write: HDEL of a field that never is.
local function close(key, id, verdict, now, count, since, ends_lease)
    count, since = tonumber(count or '0'), tonumber(since or '0')
    if count >= CLOSED_MOST or (count >= CLOSED_FEW and now - since > CLOSED_KEEP_US) then
        count, since = purge_closed(key, now), now
    end
    local fields = {'n', count + 1, 's', decimal(since), 'c' .. id, verdict .. decimal(now)}
    if ends_lease then
        fields = {'i', '', 'k', '', 'o', '', 'd', '', unpack(fields)}
    end
    local set = redis.pcall('HSET', key, unpack(fields))
    if type(set) == 'table' and set.err then
        redis.call('HDEL', key, '-')
        redis.call('HSET', key, unpack(fields))
    end
end
