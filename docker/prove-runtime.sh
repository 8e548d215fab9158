#!/usr/bin/env bash
# Shows that packages-run.txt is all that the programs need: installs it into a fresh Debian 12 root,
# and takes a lock there as the image would: another user, a read-only root, no other programs.
# Needs root, debootstrap, redis-server and build/release (./dev build). Takes about a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$(id -u)" -eq 0 ] || { echo "prove-runtime.sh must be root" >&2; exit 1; }
root=$(mktemp -d)
chmod 755 "$root"
log=$(mktemp)
pids=()
cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    if mountpoint -q "$root"; then umount "$root"; fi
    rm -rf "$root" "$log"
}
# Quietly, unless it fails.
quietly() { "$@" >"$log" 2>&1 || { tail -20 "$log"; return 1; }; }
trap cleanup EXIT

# The mirror, keys and settings that this machine's apt has.
# shellcheck disable=SC2016  # apt-get expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | sed -n 1p)
echo "==> a fresh Debian 12"
quietly debootstrap --variant=minbase bookworm "$root" "$mirror"
rm -f "$root/etc/apt/sources.list"
cp -a /etc/apt/. "$root/etc/apt/"
cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/" 2>/dev/null || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"
echo "==> installing packages-run.txt"
quietly chroot "$root" apt-get update
mapfile -t packages < <(grep -v '^#' docker/packages-run.txt)
DEBIAN_FRONTEND=noninteractive quietly \
    chroot "$root" apt-get install -y --no-install-recommends "${packages[@]}"
install -m 755 build/release/holdfastd build/release/holdfast "$root/usr/local/bin/"
du -sh "$root" | cut -f1 | sed 's/^/    size of the root, apt lists included: /'

echo "==> a daemon in it, user 10001, read-only"
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
redis=$(mktemp -d)
redis-server --port 0 --unixsocket "$redis/s" --save '' --daemonize no --dir "$redis" >/dev/null &
pids+=($!)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
for _ in $(seq 100); do [ -S "$redis/s" ] && break; read -rt 0.05 <> <(:) || true; done
redis-cli -s "$redis/s" config set port "$redis_port" >/dev/null
inside() { chroot --userspec=10001:10001 "$root" "$@"; }
inside holdfastd --version
chroot --userspec=10001:10001 "$root" \
    holdfastd --listen "127.0.0.1:$port" --admin "" --store "redis://127.0.0.1:$redis_port" >/dev/null 2>&1 &
pids+=($!)
inside holdfast --server "127.0.0.1:$port" health --wait 10s
inside holdfast --server "127.0.0.1:$port" acquire demo --ttl 30s | sed -E 's/^(lease_id: .{4}).*/\1.../'
rm -rf "$redis"
echo "==> packages-run.txt is enough"
