#!/usr/bin/python3
"""Locks by redis-py's own Lock, like a service that does not know of Holdfast. For tests/e2e.

    redis_py.py SOCKET turns SECONDS NAME...   four threads take the locks in turn for so long. For each time
                                               they had one, a line: name, and in ns of CLOCK_MONOTONIC when it
                                               was asked for, obtained, and ceased to be theirs
    redis_py.py SOCKET take TTL WAIT NAME      waits for the lock, for WAIT seconds at most, prints when it
                                               was obtained, and leaves it to end by its TTL

Needs Debian's python3-redis (or pip's redis).
"""

import random
import sys
import threading
import time

import redis
from redis.lock import Lock

THREADS = 4
TTL_S = 5


class TimedLock(Lock):
    """Knows when it was asked for with success."""

    asked = 0

    def do_acquire(self, token):
        self.asked = time.monotonic_ns()
        return super().do_acquire(token)


def take_turns(socket, number, end, names):
    client = redis.Redis(unix_socket_path=socket)
    chance = random.Random(number)
    while time.monotonic() < end:
        name = chance.choice(names)
        lock = TimedLock(client, name, timeout=TTL_S, sleep=0.002, blocking_timeout=0.5)
        if not lock.acquire():
            continue
        obtained = time.monotonic_ns()
        time.sleep(chance.randrange(3) / 1000)
        deadline = lock.asked + TTL_S * 1_000_000_000
        ended = min(time.monotonic_ns(), deadline)
        if ended < deadline:
            lock.release()
        print(f"{name} {lock.asked} {obtained} {ended}\n", end="", flush=True)
        time.sleep(chance.randrange(3) / 1000)


def main(socket, mode, *rest):
    if mode == "take":
        ttl, wait, name = rest
        client = redis.Redis(unix_socket_path=socket)
        if not Lock(client, name, timeout=float(ttl), blocking_timeout=float(wait)).acquire():
            sys.exit(f"not obtained in {wait} s")
        print(time.monotonic_ns())
        return
    end = time.monotonic() + float(rest[0])
    threads = [
        threading.Thread(target=take_turns, args=(socket, number, end, rest[1:])) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
