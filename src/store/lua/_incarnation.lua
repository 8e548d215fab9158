-- The incarnation of a Redis (redis::ServerInfo), "run_id:master_replid2:second_repl_offset". A caller knows it
-- from when its connection was made. The run_id holds as long as that; the rest may have changed under it: by
-- a demotion and a promotion; and a primary may have forgotten whom it replaced, most of all when it has had
-- no replica for repl-backlog-ttl, an hour.
--
-- Who was demoted, has taken over other data, was promoted and has forgotten that looks the same. It takes two
-- failovers and the forgetting between two looks: hence GAP_US, and the preflight check of repl-backlog-ttl.
local FORGOTTEN = ':' .. string.rep('0', 40) .. ':-1'
local GAP_US = 10000000  -- daemons look each second, but may stand still

-- As it is now, and whether this is a replica (that can be written to).
local function incarnation_now(told)
    local run_id, info = string.match(told, '^[^:]*'), redis.pcall('INFO', 'replication')
    if type(info) ~= 'string' then
        return told, false  -- an ACL may forbid it
    end
    local id, offset = string.match(info, 'master_replid2:(%w+)'), string.match(info, 'second_repl_offset:(%-?%d+)')
    return id and offset and run_id .. ':' .. id .. ':' .. offset or told, string.find(info, 'role:slave', 1, true)
end

local function has_forgotten(before, now)
    return now == string.match(before, '^[^:]*') .. FORGOTTEN
end

-- Whether no more has happened. `age`: since it was `before`, us; `most` is short enough.
local function has_only_forgotten(before, now, is_replica, age, most)
    return has_forgotten(before, now) and not is_replica and age >= 0 and age < most
end
