#!/usr/bin/env bash
# Builds the `weir` of another revision, to be compared with this tree's: target/bench/base/target/release/weir.
#
#   base.sh REVISION
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

revision=$(git rev-parse --verify --quiet "${1:?usage: base.sh REVISION}^{commit}") || {
    echo "base: error: '$1' is no revision of this repository" >&2
    exit 1
}
base=target/bench/base
if [ ! -e "$base/.git" ]; then
    mkdir -p target/bench
    git worktree prune
    git worktree add --quiet --detach "$base" "$revision"
fi
git -C "$base" checkout --quiet --detach "$revision"
# What this tree has compiled of dependencies serves there too; its own crates do not.
if [ -d target/release/deps ] && [ ! -d "$base/target/release" ]; then
    mkdir -p "$base/target"
    cp -al target/release "$base/target"
    members=$(cargo metadata --no-deps --format-version 1 --manifest-path "$base/Cargo.toml" \
        | python3 -c 'import json, sys; print(*("-p" + p["name"] for p in json.load(sys.stdin)["packages"]))')
    # shellcheck disable=SC2086
    cargo clean --quiet --release --manifest-path "$base/Cargo.toml" $members
fi
packages=(-p weir)
# With what it is built with here, so that dependencies have the same features.
if [ -e "$base/tests/bench/Cargo.toml" ]; then packages+=(-p weir-bench); fi
cargo build --locked --release --manifest-path "$base/Cargo.toml" "${packages[@]}"
