-- Whether the store still knows what it knew. The canary is a string:
--   open_at 16 digits: nothing is granted before, us; max_ttl 10: of the deployment, ms
--   BEATS beats of 16 digits, newest first: when daemons have looked, us
--   the incarnation of the Redis that it stands for
-- Beats are apart by the longest life of a lease / BEATS, so together they tell of all the time in which
-- something was granted that may still be held.
local BEATS = 60
local RING = 27            -- where the beats begin
local WHOSE = RING + 16 * BEATS

local function ring_of(canary)
    return string.sub(canary, RING, WHOSE - 1)
end

-- `known` is what the caller believes: the newest beat it has seen, and the incarnation of the Redis it is
-- connected to. An empty store has no canary; another process has another incarnation; a backup that was
-- loaded in place has not the beat. (One from before all beats proves nothing, and means nothing.)
local function is_lost(canary, known)
    if not canary or string.sub(canary, WHOSE) ~= string.sub(known, 17) then
        return true
    end
    local ring, beat = ring_of(canary), string.sub(known, 1, 16)
    return beat > string.sub(ring, -16) and not string.find(ring, beat, 1, true)
end

-- Nil if the memory is lost, else for how long nothing may be granted, 0 or more us.
--
-- The beat that is known is almost always one of the newest: then only the canary's ends are read, for each
-- string that Lua takes in, it goes over byte by byte. The answer is that of is_lost().
local NEWEST = 4
local function closed_for(key, known, now)
    local front = redis.call('GETRANGE', key, 0, RING + 16 * NEWEST - 2)
    if not (string.find(front, string.sub(known, 1, 16), RING, true)
            and redis.call('GETRANGE', key, WHOSE - 1, -1) == string.sub(known, 17))
        and is_lost(redis.call('GET', key), known) then
        return nil
    end
    return math.max(0, tonumber(string.sub(front, 1, 16)) - now)
end
