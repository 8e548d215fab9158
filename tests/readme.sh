#!/usr/bin/env bash
# Runs what README shows, as a reader would paste it: `./dev run` in one shell, the blocks marked sh,
# python and js in another, in their order. The grpcurl block's request is sent by Python, as Debian has
# no grpcurl. Blocks marked console are not run.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
daemon=
cleanup() {
    if [ -n "$daemon" ]; then kill "$daemon" 2>/dev/null || true; wait "$daemon" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
grpc=127.0.0.1:$(free_port)
http=127.0.0.1:$(free_port)

"$repo/dev" run --listen "$grpc" --admin "$http" >"$work/daemon.log" 2>&1 &
daemon=$!
export HOLDFAST_SERVER=$grpc PATH=$repo/build/release:$PATH
until holdfast health --wait 2s >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { cat "$work/daemon.log"; exit 1; }
done

# Numbered files, one a block, named by their marks; with the ports that are in use here.
ln -s "$repo/proto" "$work/proto"
awk -v dir="$work" '
    /^```[a-z]+$/ { file = sprintf("%s/%02d.%s", dir, ++count, substr($0, 4)); next }
    /^```$/ { file = ""; next }
    file { print > file }' "$repo/README.md"
sed -i "s/127\.0\.0\.1:7420/$grpc/; s/127\.0\.0\.1:7421/$http/" "$work"/[0-9]*.*

cat >"$work/send.py" <<'PY'
"""Sends the request of a grpcurl command line; prints the answer."""
import re, shlex, sys
import grpc
from google.protobuf import json_format
from holdfast.v1 import lock_service_pb2 as api, lock_service_pb2_grpc as rpc

words = shlex.split(open(sys.argv[1]).read().replace("\\\n", ""))
body, address, method = words[words.index("-d") + 1], words[-2], words[-1]
name = re.fullmatch(r"holdfast\.v1\.LockService/(\w+)", method)[1]
request = json_format.Parse(body, getattr(api, name + "Request")())
print(getattr(rpc.LockServiceStub(grpc.insecure_channel(address)), name)(request))
PY

cd "$work"
ran=0
for block in [0-9]*.*; do
    status=0
    if [[ $block == *.js && ! -d ${NODE_PATH:-}/@grpc ]]; then
        echo "LEFT OUT: the js block of README.md, without npm's packages (./dev test fetches them)"
        continue
    fi
    case $block in
        *.sh) bash -euo pipefail "$block" >output 2>&1 || status=$? ;;
        *.python) /usr/bin/python3 - <"$block" >output 2>&1 || status=$? ;;
        *.js) node - <"$block" >output 2>&1 || status=$? ;;
        *.grpcurl) /usr/bin/python3 send.py "$block" >output 2>&1 || status=$? ;;
        *) continue ;;
    esac
    if [ "$status" -ne 0 ]; then
        echo "README.md, code block $block ends with $status:"
        cat "$block" output
        exit 1
    fi
    ran=$((ran + 1))
done
# Held by the grpcurl block, and by nothing else.
held=$(holdfast -o json ls | grep -c '"name"' || true)
if [ "$ran" -lt 7 ] || [ "$held" -ne 1 ]; then
    echo "$ran blocks ran, $held locks are held"
    exit 1
fi
