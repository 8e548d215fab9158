#!/usr/bin/env bash
# Compares docker/packages-run.txt with the libraries that the release programs are linked to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. /etc/os-release
if [ "${VERSION_ID:-}" != 12 ]; then
    echo "the list is for Debian 12; this is ${PRETTY_NAME:-another system}: nothing to compare"
    exit 0
fi

# The packages of the libraries that the programs name; libc and libgcc are in every image.
linked() {
    local program library
    for program in holdfastd holdfast; do
        objdump -p "build/release/$program" | awk '/NEEDED/ { print $2 }'
    done | sort -u | while read -r library; do
        dpkg -S "*/$(uname -m)-linux-gnu/$library" | cut -d: -f1
    done | sort -u | grep -vxE 'libc6|libgcc-s1'
}

diff <(grep -v '^#' docker/packages-run.txt | sort) <(linked) || {
    echo "docker/packages-run.txt (<) differs from what the programs are linked to (>)"
    exit 1
}
