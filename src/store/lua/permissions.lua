#!lua flags=allow-oom
-- Which commands the user may not run in scripts: each is tried in a form that changes nothing. Redis 7.0
-- names no command when it refuses one in a script, so this does.
--
-- KEYS 1 the canary: a string, so what is for hashes and sets fails on it
--      2 a key like those of locks, which never exists     from 3 on the same, of plain keys (_coexist.lua)
-- ARGV 1 a channel that nobody listens to
-- Reply what is refused: commands; or "channels &NAME". Empty if all is permitted, or if there is no canary
--       yet. (Keys that are not permitted make the script itself fail.)
-- O(1)
local tries = {
    {'TIME'}, {'PUBLISH', ARGV[1], ''},
    {'GET', KEYS[1]}, {'GETRANGE', KEYS[1], 0, 0}, {'SET', KEYS[1], '', 'NX'},
    {'PEXPIRE', KEYS[2], 1}, {'PEXPIREAT', KEYS[2], 1},
    {'HSET', KEYS[1], 'f', ''}, {'HDEL', KEYS[1], 'f'}, {'HEXISTS', KEYS[1], 'f'}, {'HGET', KEYS[1], 'f'},
    {'HGETALL', KEYS[1]}, {'HKEYS', KEYS[1]}, {'HMGET', KEYS[1], 'f'},
    {'ZADD', KEYS[1], 1, 'm'}, {'ZRANGE', KEYS[1], 0, 0}, {'ZREM', KEYS[1], 'm'},
    {'ZREMRANGEBYSCORE', KEYS[1], 0, 0},
}

if KEYS[3] then
    tries[#tries + 1], tries[#tries + 2] = {'PTTL', KEYS[3]}, {'DEL', KEYS[3]}
end

-- What the error says is refused; nil if it is of another kind.
local function refused(reply, command)
    local error = type(reply) == 'table' and reply.err or ''
    if string.find(error, 'channel', 1, true) then
        return 'channels &' .. command[2]
    elseif string.find(error, "can't run", 1, true) or string.find(error, 'no permissions', 1, true) then
        return string.lower(command[1])
    end
end

local found, seen = {}, {}
local exists = redis.pcall('EXISTS', KEYS[1], KEYS[2])
local missing = refused(exists, {'EXISTS'})
if missing or exists == 0 then
    return {missing}
end
for _, command in ipairs(tries) do
    local what = refused(redis.pcall(unpack(command)), command)
    if what and not seen[what] then
        seen[what] = true
        found[#found + 1] = what
    end
end
return found
