#!/usr/bin/python3
"""Takes a lock, keeps it, gives it back: Holdfast from Python.

    take_lock.py [ADDRESS [NAME]]

Needs Debian's python3-grpcio and python3-protobuf (or pip's grpcio and protobuf), and the code that
protoc makes of proto/holdfast/v1; tests/CMakeLists.txt shows the command.
"""

import secrets
import sys
import time

import grpc

from holdfast.v1 import lock_pb2 as lock
from holdfast.v1 import lock_service_pb2 as api
from holdfast.v1 import lock_service_pb2_grpc as rpc

TIMEOUT_S = 10


def now():
    """Goes on while the machine sleeps, as a lease does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def believe_until(sent_at, lease):
    """Counted from before the request was sent: whatever time the answer took is lost, not won."""
    return sent_at + (lease.elapsed_ms + lease.safe_for_ms) / 1000


def main(address="127.0.0.1:7420", name="python-demo"):
    with grpc.insecure_channel(address) as channel:
        locks = rpc.LockServiceStub(channel)
        # A random id, so that the same request may be sent again if no answer comes.
        request = api.AcquireRequest(
            name=name, ttl_ms=10_000, wait_ms=5_000, owner="python", request_id=secrets.token_bytes(32)
        )
        sent_at = now()
        lease = locks.Acquire(request, timeout=TIMEOUT_S).lease
        try:
            print(f"token {lease.fencing_token}")  # hand it to what the lock protects

            # ... work; renew when a third of the ttl has passed, and before a step that matters ...
            sent_at = now()
            renewal = api.RenewRequest(lease_id=lease.lease_id, ttl_ms=10_000)
            lease = locks.Renew(renewal, timeout=TIMEOUT_S).lease
            print(f"mine for {believe_until(sent_at, lease) - now():.0f} s more")
        finally:
            done = locks.Release(api.ReleaseRequest(lease_id=lease.lease_id), timeout=TIMEOUT_S)
        print(f"released: {lock.Verdict.Name(done.verdict)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
