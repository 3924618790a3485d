#!/usr/bin/env bash
# Builds WebAssembly modules from source, all into one target directory of their own (target/guests), so that
# they neither wait for the host's builds nor meet its features.
#
#   guests.sh plugins   the ready-made modules:  target/guests/wasm32-wasip2/release/*.wasm
#   guests.sh tests     the tests' own as well:  in …/release/examples/, and target/guests/core/*.wasm;
#                       and the commands of examples/commands: target/guests/core/*.wasm
#
# Quick when nothing has changed. Called by the Makefile and, under a lock, by the tests' harness.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# components MANIFEST [WHAT…]: builds components with cargo.
components() {
    cargo build --quiet --locked --release --target wasm32-wasip2 --target-dir target/guests \
        --manifest-path "$@"
}

# core SOURCE NAME ZIG…: compiles one file to a core module, when it has changed.
core() {
    local source=$1 wasm=target/guests/core/$2.wasm
    shift 2
    if [ "$wasm" -nt "$source" ] && [ "$wasm" -nt tests/guests/c/weir.h ]; then return; fi
    if [ ! -x .tools/bin/zig ]; then
        echo "guests: error: .tools/bin/zig is missing: run 'make tools' first" >&2
        exit 1
    fi
    mkdir -p target/guests/core
    # Written aside and renamed, so that a test never reads half a module.
    ZIG_GLOBAL_CACHE_DIR=target/guests/zig ZIG_LOCAL_CACHE_DIR=target/guests/zig .tools/bin/zig "$@" "$source"
    mv target/guests/core/new.wasm "$wasm"
}

c_module() {
    core "tests/guests/c/$1.c" "$1-c" cc -target wasm32-freestanding -O2 -Wall -Wextra -Werror \
        -Wno-unused-function -nostdlib -Wl,--no-entry -o target/guests/core/new.wasm
}

zig_module() {
    core "tests/guests/zig/$1.zig" "$1-zig" build-exe -target wasm32-freestanding -O ReleaseSmall \
        -fno-entry -rdynamic -femit-bin=target/guests/core/new.wasm
}

# Programs that know nothing of Weir, by the plain tools of their languages.
commands() {
    local redact=target/guests/core/redact.wasm
    if [ ! "$redact" -nt examples/commands/redact.rs ]; then
        mkdir -p target/guests/core
        rustc -O -C strip=debuginfo --edition 2024 --target wasm32-wasip2 -o target/guests/core/new.wasm \
            examples/commands/redact.rs
        mv target/guests/core/new.wasm "$redact"
    fi
    core examples/commands/wc.c wc cc -target wasm32-wasi -O2 -Wall -Wextra -Werror -s \
        -o target/guests/core/new.wasm
    core examples/commands/logfmt.zig logfmt build-exe -target wasm32-wasi -O ReleaseSmall \
        -femit-bin=target/guests/core/new.wasm
}

case ${1-} in
plugins | tests) ;;
*)
    echo "usage: guests.sh plugins|tests" >&2
    exit 2
    ;;
esac

components plugins/Cargo.toml
if [ "$1" = tests ]; then
    components tests/guests/Cargo.toml --examples
    c_module upper
    c_module multi
    c_module hostile
    zig_module multi
    commands
fi
