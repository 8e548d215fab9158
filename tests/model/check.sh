#!/usr/bin/env bash
# Checks the models with spin: safety and liveness of each as it stands, and that each planted fault is
# found. Needs spin and gcc; a minute.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# model, property (safety or liveness), variant...: how many errors spin finds, or why it could not say.
errors() {
    local model=$1 property=$2 flags=(-DSAFETY -DNOCLAIM) run=(-m5000000)
    shift 2
    if [ "$property" = liveness ]; then
        flags=(-DNFAIR=4)
        run=(-a -f -m5000000)
    fi
    spin -a -o3 "$@" "$here/$model.pml" >/dev/null
    gcc -w -O2 -DCOLLAPSE -DMEMLIM=4000 "${flags[@]}" -o pan pan.c
    timeout 300 ./pan "${run[@]}" >out 2>&1 || { echo "pan ended with $?"; return; }
    if grep -qE 'max search depth too small|out of memory' out; then
        echo "the search is not complete"
    else
        sed -nE 's/.*errors: ([0-9]+)$/\1/p' out
    fi
}

status=0
expect() {  # found or none; model, property, variant...
    local wanted=$1 found
    shift
    found=$(errors "$@")
    case $wanted:$found in
        none:0 | found:[1-9]*) ;;
        *)
            echo "model $*: errors wanted: $wanted; spin says: $found"
            status=1
            ;;
    esac
}

expect none handon safety
expect none handon liveness
expect none handon safety -DLOSS=2
expect found handon safety -DNOCLOSED
expect found handon safety -DNOOWNER
expect found handon safety -DBARGE
expect found handon liveness -DNOID

expect none strict safety
expect none strict safety -DTTL=3
for fault in NOGRACE GRACE_AT_PROMO SHORTGRACE NOWAITRENEW READRETRY; do
    expect found strict safety "-D$fault"
done
exit $status
