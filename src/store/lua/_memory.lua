-- Whether the store still knows what it knew. The canary is a string:
--   open_at 16 digits: nothing is granted before, us, or SEALED: it is not known yet; max_ttl 10: of the
--   deployment, ms
--   the incarnation of the Redis that it stands for, its length 3 before it
--   BEATS beats of 16 digits, newest first: when daemons have looked, us
-- Beats are apart by the longest life of a lease / BEATS, so together they tell of all the time in which
-- something was granted that may still be held.
local BEATS = 60
-- Strict mode, after a loss: until a majority of all nodes follows this Redis, and a longest lease more.
-- (No time that will be; a number that Lua has exactly.)
local SEALED = 9000000000000000
local LOOK_AGAIN = 1000000  -- us
local WHOSE = 27           -- where the incarnation's length begins

local function incarnation_of(canary)
    local length = tonumber(string.sub(canary, WHOSE, WHOSE + 2)) or 0
    return string.sub(canary, WHOSE, WHOSE + 2 + length)
end

local function ring_of(canary)
    return string.sub(canary, WHOSE + #incarnation_of(canary))
end

-- `known` is what the caller believes: the newest beat it has seen, and the incarnation of the Redis it is
-- connected to, with its length. An empty store has no canary; another process has another incarnation; a
-- backup that was loaded in place has not the beat. (One from before all beats proves nothing, and means
-- nothing.)
local function is_lost(canary, known)
    if not canary or incarnation_of(canary) ~= string.sub(known, 17) then
        return true
    end
    local ring, beat = ring_of(canary), string.sub(known, 1, 16)
    return beat > string.sub(ring, -16) and not string.find(ring, beat, 1, true)
end

-- Nil if the memory is lost, else for how long nothing may be granted, 0 or more us.
--
-- In a Cluster the canary is in another slot than the lock, and no key of the script: `known` is "=" and from
-- when on locks may be granted, 16 digits, as the caller knows by its last look; "=" alone if it does not.
--
-- The beat that is known is almost always one of the newest: then only the canary's front is read, for each
-- string that Lua takes in, it goes over byte by byte. The answer is that of is_lost().
local NEWEST = 4
local function is_apart(known)
    return string.sub(known, 1, 1) == '='
end
local function closed_for(key, known, now)
    if is_apart(known) then
        local open_at = tonumber(string.sub(known, 2))
        return open_at and math.max(0, open_at - now)
    end
    local whose = string.sub(known, 17)
    local beats = WHOSE + #whose
    local front = redis.call('GETRANGE', key, 0, beats - 2 + 16 * NEWEST)
    if not (string.sub(front, WHOSE, beats - 1) == whose
            and string.find(front, string.sub(known, 1, 16), beats, true))
        and is_lost(redis.call('GET', key), known) then
        return nil
    end
    local open_at = tonumber(string.sub(front, 1, 16))
    return open_at == SEALED and LOOK_AGAIN or math.max(0, open_at - now)
end
