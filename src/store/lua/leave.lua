#!lua flags=allow-oom
-- Takes a station's ticket away, since nobody waits there any more, and tells those whose turn it is.
--
-- KEYS 1 the lock's record
-- ARGV 1 station, 8 bytes     2 retention of the record, ms
-- Reply {1, time}
-- O(stations): TIME, HMGET, HSET.
--@include _head.lua
--@include _record.lua
--@include _crowd.lua
--@include _queue.lua
--@include _take.lua
local now = now_us()
local lock = open(KEYS[1])
if lock and lock.queue ~= '' then
    set_ticket(lock, ARGV[1], '', now)
    lock.must = true
    save(lock, tonumber(ARGV[2]), now)
    tell(lock, ARGV[1], now)
end
return {1, now}
