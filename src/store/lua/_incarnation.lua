-- The incarnation of a Redis (redis::ServerInfo), "run_id:master_replid2:second_repl_offset". A caller knows it
-- from when its connection was made. The run_id holds as long as the connection; the rest may have changed
-- under it: by a demotion and a promotion; and when a primary has had no replica for repl-backlog-ttl (an
-- hour), as it forgets then whom it replaced.
local FORGOTTEN = ':' .. string.rep('0', 40) .. ':-1'

-- As it is now.
local function incarnation_now(told)
    local run_id, info = string.match(told, '^[^:]*'), redis.pcall('INFO', 'replication')
    if type(info) ~= 'string' then
        return told  -- an ACL may forbid it
    end
    local id, offset = string.match(info, 'master_replid2:(%w+)'), string.match(info, 'second_repl_offset:(%-?%d+)')
    return id and offset and run_id .. ':' .. id .. ':' .. offset or told
end

-- Whether it may be that nothing but that was forgotten.
local function has_forgotten(before, now)
    return now == string.match(before, '^[^:]*') .. FORGOTTEN
end
