-- TRY, for quorum_try and for the hand-on in quorum_release.

-- What is wanted: arguments from ARGV[at] on.
--   holder id, call id, nonce, proposal, how long to keep the lease (us), owner, metadata, station to tell
--   or '', lock delay (us), station that asks, ticket if it is refused or '', ticket if it is not or '',
--   1: only a lease that the holder has already
local function wanted(at)
    return {
        holder = ARGV[at], call = ARGV[at + 1], nonce = ARGV[at + 2], proposal = tonumber(ARGV[at + 3]),
        keep = tonumber(ARGV[at + 4]), owner = ARGV[at + 5], data = ARGV[at + 6],
        host = ARGV[at + 7] ~= '' and ARGV[at + 7] or nil, delay = tonumber(ARGV[at + 8]),
        station = ARGV[at + 9], mine = ARGV[at + 10], next = ARGV[at + 11], again = ARGV[at + 12] == '1',
    }
end

-- Makes the attempt the owner if the lock is free, or the holder's already. Returns
--   {1, now, proposal}          owner, and the proposal is written
--   {2, now, fence, token}      owner, not written; token: that of the lease that the holder has here, or 0
--   {3, now, fence, token, left_us, owner, waiting, holder id}    somebody else's
--   {4, now}                    one of its ids was closed, or its lease was revoked
--   {6, now, fence}             not the holder's (only if `again`)
local function try(lock, node, want, now)
    local fence = fence_of(lock, node)
    if verdict_of(lock, want.holder) or verdict_of(lock, want.call) or verdict_of(lock, want.nonce) then
        return {4, now}
    end
    local alive = lives(lock, now)
    if alive and lock.holder == want.holder then
        local ends = renewed_until(lock, now, want.keep)
        if not ends then
            return {4, now}
        end
        lock.nonce, lock.expiry, lock.calls = want.nonce, ends, with_call(lock.calls, want.call)
        lock.host = want.host or lock.host
        if lock.token > 0 then
            lock.believed = lock.believed == '0' and '1' or lock.believed
            set_fence(lock, node, fence)
            set_ticket(lock, want.station, want.next, now)
            save(lock, now)
            return {2, now, fence, lock.token}
        end
    elseif want.again then
        return {6, now, fence}
    elseif alive or (lock.holder and now < lock.expiry + lock.delay) then
        local _, _, waiting = first_waiter(lock, want.station, now)
        if want.mine ~= '' then
            set_ticket(lock, want.station, want.mine, now)
            redis.call('HSET', lock.key, 'q', lock.queue)
        end
        local ends = lock.expiry + (alive and 0 or lock.delay)
        local length = tonumber(string.sub(lock.texts, 1, 4)) or 0
        return {3, now, fence, lock.token, ends - now, string.sub(lock.texts, 5, 4 + length), waiting,
                lock.holder}
    else
        drop(lock)
        lock.before, lock.before_memory = lock.fence, lock.memory
        lock.holder, lock.nonce, lock.calls, lock.host = want.holder, want.nonce, want.call, want.host
        lock.expiry, lock.since, lock.delay = now + want.keep, now, want.delay
        lock.texts = texts_of(want.owner, want.data)
    end
    set_ticket(lock, want.station, want.next, now)
    local accepted = want.proposal > fence and want.proposal <= now + AHEAD_US
        and want.proposal < TOKEN_END
    if accepted then
        fence, lock.token = want.proposal, want.proposal
    end
    set_fence(lock, node, fence)
    save(lock, now)
    if accepted then
        note(node, want.proposal)
        changed(lock.key)
        return {1, now, fence}
    end
    return {2, now, fence, 0}
end
