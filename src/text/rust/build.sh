#!/usr/bin/env bash
# Builds the crate and writes its static library. Usage: src/text/rust/build.sh LIBRARY
# Cargo works in a folder of the user's cache, which all checkouts share: the crates that this one needs are compiled once
# a machine. A copy of the crate lies there too, since cargo takes the same file in another folder for another crate.
set -euo pipefail
library=$1
crate=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dbrx/cargo
mkdir -p "$cache" "$(dirname "$library")"
exec 9>"$cache/lock"
flock 9
if ! diff -rq "$crate" "$cache/crate" >/dev/null 2>&1; then
  rm -rf "$cache/crate"
  cp -r "$crate" "$cache/crate"
fi
cargo build --release --locked --quiet --manifest-path "$cache/crate/Cargo.toml" --target-dir "$cache/target"
# Not with its old time: what depends on it compares times.
cp "$cache/target/release/libdbrx_text.a" "$library"
