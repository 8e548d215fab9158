-- Coexistence: locks that are of store.coexist have, besides their record, the plain key that other clients
-- take by SET NX PX (redis-py, Dapr, what is like Redlock). Who has the one has the other, so that each excludes
-- the rest. Our value says to people whose it is; no other client has it for its own, and so releases it.
--
--   no plain key, or that of a lease that has ended   the lock may be granted; the key comes with the lease, and
--                                                     lasts as long as it and its lock delay
--   that of the lease that stands                     as it should be
--   anything else                                     another's: nobody is granted the lock
--   the same, or no key, while a lease stands         somebody took the key away, and may have held it since: the
--                                                     lease has not excluded all others. It is lost: not renewed
--                                                     any more, but as its holder may not know that yet, nobody is
--                                                     granted the lock before it ends by itself or is released
--
-- A lease that never had the key, as its daemon did not know of store.coexist, gets it instead if it is free:
-- field k of the record is the token of the newest lease that had it, or was lost for it.

local EXCLUSIVE_ONLY = 'it is one of store.coexist, for exclusive locks only'
local NO_EXPIRY_US = 1000000  -- when to look again
local PLAIN_MARK = 'holdfast:'

-- Looks at the plain key of a lock that was opened. Without `key`, it has none.
-- `ours`: token of a lease that the record may have forgotten, but not the plain key.
local function coexist(lock, key, now, ours)
    if not key then
        return
    end
    local value, mine = redis.pcall('GET', key), PLAIN_MARK .. decimal(lock.token)
    if type(value) == 'table' then
        if not string.find(value.err, 'WRONGTYPE', 1, true) then
            error(value.err)
        end
        lock.odd, value = true, ''
    end
    lock.plain, lock.now, lock.kept = key, now, value == mine
    lock.had = tonumber(redis.call('HGET', lock.key, 'k') or '0')
    if value and value ~= mine and not (ours and value == PLAIN_MARK .. decimal(ours)) then
        local left = redis.call('PTTL', key)
        lock.theirs = left < 0 and NO_EXPIRY_US or math.max(1, left) * 1000
    end
    lock.lost = lock.holder and now < lock.expiry and not lock.kept
        and (value and true or lock.had == lock.token)
end

-- After the record was written: the plain key as it shall be then.
local function keep_plain(lock)
    local had = lock.had
    if lock.holder and lock.now < lock.expiry and not lock.lost then
        redis.call('SET', lock.plain, PLAIN_MARK .. decimal(lock.token), 'PXAT',
                   decimal(math.ceil((lock.expiry + lock.delay) / 1000) + 1))
        lock.kept, had = true, lock.token
    elseif lock.lost then
        had = lock.token
    elseif lock.kept and lock.now >= lock.from then
        redis.call('DEL', lock.plain)
        lock.kept = false
    end
    if had ~= lock.had then
        redis.call('HSET', lock.key, 'k', decimal(had))
        lock.had = had
    end
end

