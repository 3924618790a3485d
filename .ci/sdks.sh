#!/usr/bin/env bash
# Runs the tests of the SDKs that are not in Rust, each with what its language tests with: against the golden
# vectors of the contract, without a sandbox. The sandbox comes with tests/conformance.
#
#   sdks.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
vectors=$root/runtime/engine/testdata/wire.txt
built=$root/target/guests/tests

# What .ci/tools.sh fetched comes first; all caches of compilers lie in the target directory.
export PATH=$root/.tools/bin:$root/.tools/npm/node_modules/.bin:$PATH
export ZIG_GLOBAL_CACHE_DIR=$root/target/guests/zig ZIG_LOCAL_CACHE_DIR=$root/target/guests/zig
export GOCACHE=$root/target/guests/go GOENV=off GOFLAGS='' GOTOOLCHAIN=local

# quietly WHAT COMMAND…: shows what a command says only when it fails.
quietly() {
    local what=$1 log=$built/log
    shift
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        echo "sdks: error: the tests of the SDK for $what fail" >&2
        exit 1
    fi
    echo "sdks: $what: passed"
}

# What follows is called where `set -e` has no hold: every command but the last ends in &&.
test_c() {
    cc -std=c11 -g -Wall -Wextra -Wpedantic -Werror -o "$built/golden-c" sdk/c/tests/golden.c &&
        "$built/golden-c" "$vectors" &&
        zig c++ -target wasm32-freestanding -c -Wall -Wextra -Werror -Wpedantic -o "$built/cplusplus.o" \
            sdk/c/tests/cplusplus.cc
}

test_zig() {
    zig fmt --check sdk/zig &&
        zig test --dep weir -Mroot=sdk/zig/tests/golden.zig -Mweir=sdk/zig/weir.zig
}

test_go() {
    local unformatted
    unformatted=$("$(go env GOROOT)/bin/gofmt" -l sdk/go) && test -z "$unformatted" &&
        (cd sdk/go && go test ./...)
}

test_assemblyscript() {
    (cd sdk/assemblyscript && asc tests/golden.ts --optimizeLevel 0 --runtime minimal --initialMemory 8 \
        --enable simd --exportStart _initialize \
        --use abort=weir/abort --use seed=weir/seed --use trace=weir/trace --outFile "$built/golden.wasm") &&
        GOLDEN_WASM=$built/golden.wasm node --test sdk/assemblyscript/tests/golden.mjs
}

test_javascript() {
    node --import ./sdk/js/weir-sdk/node.js --test sdk/js/test/sdk.test.js
}

test_python() {
    PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover sdk/python
}

mkdir -p "$built"
quietly C test_c
quietly Zig test_zig
quietly Go test_go
quietly AssemblyScript test_assemblyscript
quietly JavaScript test_javascript
quietly Python test_python
