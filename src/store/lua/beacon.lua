-- A write behind all earlier ones, for WAIT to count who has it: see replication.hpp. Nothing is written if
-- this Redis has other data than the caller believes. Goes on when memory is full: PEXPIRE needs none. (It
-- has no flags for that, as it is always sent whole: it must not come late for want of the source.)
--
-- KEYS 1 the beacon: it goes a day after the last use
-- ARGV 1 the incarnation that is believed, without the run_id, which the connection knows: master_replid2,
--        second_repl_offset, a colon between them
-- Reply 1, or 0 if it is another
-- O(1): INFO, PEXPIRE; SET the first time.
local DAY = 86400000
local info = redis.call('INFO', 'replication')
local id = string.match(info, 'master_replid2:(%w*)') or ''
local offset = string.match(info, 'second_repl_offset:(%-?%d+)') or ''
if id .. ':' .. offset ~= ARGV[1] then
    return 0
end
if redis.call('PEXPIRE', KEYS[1], DAY) == 0 then
    redis.call('SET', KEYS[1], '', 'PX', DAY)
end
return 1
