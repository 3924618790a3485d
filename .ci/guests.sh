#!/usr/bin/env bash
# Builds WebAssembly modules from source, all into one target directory of their own (target/guests), so that
# they neither wait for the host's builds nor meet its features.
#
#   guests.sh demo      the two modules of `make demo`:  target/guests/wasm32-wasip2/release/*.wasm
#   guests.sh plugins   all ready-made modules, in the same place
#   guests.sh tests     those two and the tests' own:  in …/release/examples/, and target/guests/core/*.wasm;
#                       and of each SDK its reference module, target/guests/sdk/<language>.wasm, and what its
#                       template makes, <language>-hello.wasm, those in Rust as core modules, rust-core, too;
#                       and the commands of examples/commands
#
# Quick when nothing has changed. Called by the Makefile and, under a lock, by the tests' harness.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
guests=$root/target/guests

# What .ci/tools.sh fetched comes first; all caches of compilers lie in the target directory.
export PATH=$root/.tools/bin:$root/.tools/npm/node_modules/.bin:$PATH
export ZIG_GLOBAL_CACHE_DIR=$guests/zig ZIG_LOCAL_CACHE_DIR=$guests/zig
export GOCACHE=$guests/go GOENV=off GOFLAGS='' GOTOOLCHAIN=local

# components MANIFEST [WHAT…]: builds components with cargo.
components() {
    cargo build --quiet --locked --release --target wasm32-wasip2 --target-dir target/guests \
        --manifest-path "$@"
}

# modules NAME…: builds ready-made modules, one after the other. Built together they would share the features of
# their dependencies, and a module's bytes, and so its digest, would depend on its neighbours.
modules() {
    local name
    for name; do components plugins/Cargo.toml --package "$name"; done
}

# build WASM SOURCE… -- COMMAND…: runs a command that writes to NEW, when one of the sources (files, or all that
# is in folders) is newer than the module. Written aside and renamed, so that a test never reads half of it.
build() {
    local wasm=$guests/$1 new=$guests/new.wasm sources=(.ci/guests.sh .ci/versions.sh)
    shift
    while [ "$1" != -- ]; do
        sources+=("$1")
        shift
    done
    shift
    if [ -e "$wasm" ] && [ -z "$(find "${sources[@]}" -newer "$wasm" -print -quit)" ]; then return; fi
    mkdir -p "$(dirname "$wasm")"
    "${@//NEW/$new}"
    mv "$new" "$wasm"
}

# need PROGRAM…: ends with what to do where one is missing.
need() {
    local program
    for program in "$@"; do
        if ! command -v "$program" >/dev/null; then
            echo "guests: error: there is no '$program': run 'make tools' first" >&2
            exit 1
        fi
    done
}

# project LANGUAGE FILE…: the project that a template makes, with the SDK's files, in target/guests/hello/LANGUAGE.
project() {
    local folder=$guests/hello/$1 template=sdk/$1/template
    if [ "$1" = ts ]; then template=sdk/js/template-ts; fi
    rm -rf "$folder"
    mkdir -p "$folder"
    cp -r "$template/." "${@:2}" "$folder"
    find "$folder" -type f -exec sed -i 's/{{name_\{0,1\}}}/hello/g' {} +
}

zig_c=(zig cc -target wasm32-freestanding -std=c11 -O2 -g0 -msimd128 -Wall -Wextra -Werror -nostdlib
    -Wl,--no-entry -Wl,-z,stack-size=65536 -Isdk/c -o NEW)
zig_exe=(zig build-exe -target wasm32-freestanding -mcpu=generic+simd128 -O ReleaseSafe -fstrip -fno-entry -rdynamic
    --stack 131072 -femit-bin=NEW --dep weir)
go_build=(env GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags=-w -o NEW)

# The tests' own modules in C and Zig.
c_module() {
    build "core/$1-c.wasm" "tests/guests/c/$1.c" sdk/c/weir.h -- "${zig_c[@]}" "tests/guests/c/$1.c"
}

zig_module() {
    build "core/$1-zig.wasm" "tests/guests/zig/$1.zig" sdk/zig/weir.zig -- \
        "${zig_exe[@]}" "-Mroot=tests/guests/zig/$1.zig" -Mweir=sdk/zig/weir.zig
}

# The modules of the SDKs.
hello_c() {
    project c sdk/c/weir.h
    (cd "$guests/hello/c" && "${zig_c[@]//NEW/$1}" transform.c)
}

hello_zig() {
    project zig sdk/zig/weir.zig
    "${zig_exe[@]//NEW/$1}" "-Mroot=$guests/hello/zig/transform.zig" -Mweir=sdk/zig/weir.zig
}

# rust FOLDER CRATE TARGET WASM: builds a project in Rust by the settings that lie in its folder.
rust() {
    (cd "$1" && cargo build --quiet --locked --release --target "$3" --target-dir "$guests")
    cp "$guests/$3/release/$2.wasm" "$4"
}

reference_rust() {
    rust sdk/rust/reference reference_rust "$1" "$2"
}

hello_rust() {
    project rust
    mkdir "$guests/hello/rust/weir-sdk"
    cp -rL sdk/rust/{Cargo.toml,README.md,examples,src,wit} "$guests/hello/rust/weir-sdk"
    # As the template's own weir.toml has it.
    RUSTFLAGS=-Ctarget-feature=+simd128 rust "$guests/hello/rust" hello "$1" "$2"
}

reference_assemblyscript() {
    (cd sdk/assemblyscript && asc reference/reference.ts -O3 --debug --runtime minimal --initialMemory 8 \
        --enable simd --exportStart _initialize \
        --use abort=weir/abort --use seed=weir/seed --use trace=weir/trace --outFile "$1")
}

# By the options of the template's own asconfig.json.
hello_assemblyscript() {
    project assemblyscript
    cp sdk/assemblyscript/weir.ts "$guests/hello/assemblyscript/assembly"
    (cd "$guests/hello/assemblyscript" && asc assembly/index.ts --outFile "$1")
}

reference_go() {
    (cd sdk/go && "${go_build[@]//NEW/$1}" ./reference)
}

hello_go() {
    project go sdk/go/weir
    (cd "$guests/hello/go" && "${go_build[@]//NEW/$1}" .)
}

# javascript FOLDER FILE WASM: makes a component of a folder's JavaScript, which finds the SDK as an npm project would.
javascript() {
    mkdir -p "$1/node_modules"
    cp -rL sdk/js/weir-sdk "$1"
    ln -sfn ../weir-sdk "$1/node_modules/weir-sdk"
    (
        cd "$1"
        if [ -e tsconfig.json ]; then tsc; fi
        componentize-qjs --sync --wit weir-sdk/wit --world javascript --js "$2" --output "$3" >"$guests/log" \
            || { cat "$guests/log" >&2 && exit 1; }
    )
}

reference_js() {
    rm -rf "$guests/reference/js"
    mkdir -p "$guests/reference"
    cp -r sdk/js/reference "$guests/reference/js"
    javascript "$guests/reference/js" reference.js "$1"
}

hello_js() {
    project js
    javascript "$guests/hello/js" src/transform.js "$1"
}

hello_ts() {
    project ts
    javascript "$guests/hello/ts" build/transform.js "$1"
}

# python FOLDER MODULE WASM: makes a component of a Python module.
python() {
    cp sdk/python/weir.py wit/transform.wit "$1"
    (cd "$1" && componentize-py --quiet --wit-path transform.wit --world interpreter componentize "$2" --output "$3")
}

reference_python() {
    rm -rf "$guests/reference/python"
    mkdir -p "$guests/reference"
    cp -r sdk/python/reference "$guests/reference/python"
    python "$guests/reference/python" reference "$1"
}

hello_python() {
    project python
    python "$guests/hello/python" app "$1"
}

sdk_modules() {
    need zig go asc componentize-qjs tsc componentize-py
    build sdk/rust.wasm sdk/rust wit -- reference_rust wasm32-wasip2 NEW
    build sdk/rust-hello.wasm sdk/rust wit -- hello_rust wasm32-wasip2 NEW
    build sdk/rust-core.wasm sdk/rust wit -- reference_rust wasm32-unknown-unknown NEW
    build sdk/rust-core-hello.wasm sdk/rust wit -- hello_rust wasm32-unknown-unknown NEW
    build sdk/c.wasm sdk/c -- "${zig_c[@]}" sdk/c/reference/reference.c
    build sdk/c-hello.wasm sdk/c -- hello_c NEW
    build sdk/zig.wasm sdk/zig -- \
        "${zig_exe[@]}" -Mroot=sdk/zig/reference/reference.zig -Mweir=sdk/zig/weir.zig
    build sdk/zig-hello.wasm sdk/zig -- hello_zig NEW
    build sdk/go.wasm sdk/go -- reference_go NEW
    build sdk/go-hello.wasm sdk/go -- hello_go NEW
    build sdk/assemblyscript.wasm sdk/assemblyscript -- reference_assemblyscript NEW
    build sdk/assemblyscript-hello.wasm sdk/assemblyscript -- hello_assemblyscript NEW
    build sdk/js.wasm sdk/js wit/transform.wit -- reference_js NEW
    build sdk/js-hello.wasm sdk/js wit/transform.wit -- hello_js NEW
    build sdk/ts-hello.wasm sdk/js wit/transform.wit -- hello_ts NEW
    build sdk/python.wasm sdk/python wit/transform.wit -- reference_python NEW
    build sdk/python-hello.wasm sdk/python wit/transform.wit -- hello_python NEW
}

# core_example NAME WASM: one of the tests' modules in Rust as a core module, beside the component.
core_example() {
    cargo build --quiet --locked --release --target wasm32-unknown-unknown --target-dir target/guests \
        --manifest-path tests/guests/Cargo.toml --example "$1"
    cp "$guests/wasm32-unknown-unknown/release/examples/$1.wasm" "$2"
}

# Programs that know nothing of Weir, by the plain tools of their languages.
commands() {
    build core/redact.wasm examples/commands/redact.rs -- \
        rustc -O -C strip=debuginfo --edition 2024 --target wasm32-wasip2 -o NEW examples/commands/redact.rs
    build core/wc.wasm examples/commands/wc.c -- \
        zig cc -target wasm32-wasi -O2 -Wall -Wextra -Werror -s -o NEW examples/commands/wc.c
    build core/logfmt.wasm examples/commands/logfmt.zig -- \
        zig build-exe -target wasm32-wasi -O ReleaseSmall -femit-bin=NEW examples/commands/logfmt.zig
}

case ${1-} in
demo)
    modules json-select mask-pii
    ;;
plugins)
    modules cloudevents csv-to-json enrich json-select mask-pii route sample split validate
    ;;
tests)
    modules json-select mask-pii
    components tests/guests/Cargo.toml --examples
    need zig
    c_module upper
    c_module multi
    c_module hostile
    zig_module multi
    build core/late-flights-core.wasm tests/guests sdk/rust -- core_example late_flights NEW
    build core/upper-core.wasm tests/guests sdk/rust -- core_example upper NEW
    sdk_modules
    commands
    ;;
*)
    echo "usage: guests.sh demo|plugins|tests" >&2
    exit 2
    ;;
esac
