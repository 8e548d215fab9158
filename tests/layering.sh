#!/usr/bin/env bash
# Checks the structure: which folder of src/ may include which, which may use which library, what may
# stand at the top level, how long a file may be. Proves itself first on planted violations.
set -euo pipefail

max_lines=400

# What a folder of src/ may include of ours, besides itself and generated headers.
may_include() {
    case $1 in
        daemon) echo "admin core redis rpc store" ;;  # redis: the composition root makes the pool
        rpc | admin) echo "core" ;;
        store) echo "core redis" ;;
        *) echo "" ;;
    esac
}

# Folders that may include headers which match the pattern.
libraries() {
    cat <<'TEXT'
grpcpp/|grpc/|google/protobuf|\.pb\.h	rpc cli
hiredis/	redis
spdlog/	daemon
prometheus/	admin
boost/beast	admin
toml\+\+/	daemon
boost/asio	core redis admin daemon
TEXT
}

contains() { [[ " $1 " == *" $2 "* ]]; }

check_folders() {  # root of a tree
    local root=$1 file line folder included pattern allowed
    while IFS=: read -r file line; do
        folder=$(cut -d/ -f2 <<<"${file#"$root"/}")
        included=$(sed -E 's/.*#include ["<]([^">]+)[">].*/\1/' <<<"$line")
        local first=${included%%/*}
        if [ -d "$root/src/$first" ] && [ "$first" != "$folder" ] &&
            [[ "$included" != store/lua_scripts.hpp ]] && ! contains "$(may_include "$folder")" "$first"; then
            echo "layering: ${file#"$root"/} may not include $included"
        fi
        while IFS=$'\t' read -r pattern allowed; do
            if grep -qE "^($pattern)|\.pb\.h$" <<<"$included" && grep -qE "$pattern" <<<"$included" &&
                ! contains "$allowed" "$folder"; then
                echo "layering: ${file#"$root"/} may not use $included"
            fi
        done < <(libraries)
    done < <(grep -rHE '^ *#include ["<]' "$root/src" --include='*.hpp' --include='*.cpp')
}

check_length() {  # root
    find "$1/src" "$1/tests" \( -name '*.cpp' -o -name '*.hpp' -o -name '*.lua' \) -exec wc -l {} + |
        awk -v most=$max_lines '$1 > most && $2 != "total" { print "too long: " $2 " has " $1 " lines" }'
}

check_top_level() {  # names on standard input
    grep -vxE 'src|proto|config|tests|docker|CMakeLists.txt|README.md|CMakePresets.json|LICENSE|dev|\..*' |
        sed 's/^/not at the top level: /' || true
}

expect() {  # text, what must be found in it
    grep -qF "$2" <<<"$1" || { echo "layering.sh does not notice: $2"; exit 1; }
}

self_test() {
    local tree
    tree=$(mktemp -d)
    mkdir -p "$tree/src/core" "$tree/src/redis" "$tree/src/rpc" "$tree/tests"
    echo '#include "redis/pool.hpp"' >"$tree/src/core/a.hpp"
    echo '#include <grpcpp/server.h>' >"$tree/src/core/b.cpp"
    echo '#include "holdfast/v1/lock.pb.h"' >"$tree/src/redis/c.cpp"
    echo '#include <hiredis/hiredis.h>' >"$tree/src/rpc/d.cpp"
    echo '#include "core/a.hpp"' >"$tree/src/rpc/fine.cpp"
    seq 500 >"$tree/tests/long.cpp"
    local found
    found=$(check_folders "$tree"; check_length "$tree"; echo stray | check_top_level)
    rm -rf "$tree"
    expect "$found" "src/core/a.hpp may not include redis/pool.hpp"
    expect "$found" "src/core/b.cpp may not use grpcpp/server.h"
    expect "$found" "src/redis/c.cpp may not use holdfast/v1/lock.pb.h"
    expect "$found" "src/rpc/d.cpp may not use hiredis/hiredis.h"
    expect "$found" "long.cpp has 500 lines"
    expect "$found" "not at the top level: stray"
    if grep -q fine.cpp <<<"$found"; then
        echo "layering.sh finds fault where there is none"
        exit 1
    fi
}

self_test
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
problems=$(
    check_folders "$root"
    check_length "$root"
    git -c safe.directory='*' -C "$root" ls-files | cut -d/ -f1 | sort -u | check_top_level
)
if [ -n "$problems" ]; then
    echo "$problems"
    exit 1
fi
