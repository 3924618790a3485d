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
cargo build --locked --release --manifest-path "$base/Cargo.toml" -p weir
