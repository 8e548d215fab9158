#!lua flags=no-writes
-- Reads locks without changing anything.
--
-- KEYS n  the locks' records
-- Reply {time, entry, entry, ...}, an entry for each key:
--   {}                                                    no record
--   {newest_token}                                        nobody holds it
--   {newest_token, held_for_us, left_us, owner, metadata} held
--   {-1, why}                                             the key is not such a lock
-- O(n): TIME, and for each HMGET.
--@include _record.lua
local now = now_us()
local reply = {now}
for i, key in ipairs(KEYS) do
    local record, why = read(key, 'i', 'g', 'o', 'd')
    if not record then
        reply[i + 1] = {-1, why}
    elseif not record[1] then
        reply[i + 1] = {}
    elseif record[4] and now < record[3] then
        local since = tonumber(record[5] or '0') or now
        reply[i + 1] = {record[2], now - since, record[3] - now, record[6] or '', record[7] or ''}
    else
        reply[i + 1] = {record[2]}
    end
end
return reply
