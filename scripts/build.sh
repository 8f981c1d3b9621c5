#!/usr/bin/env bash
# Installs what is missing and builds the program. Usage: scripts/build.sh [preset]
# The default preset, release, makes build/release/dbrx.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
wanted=build
tests=OFF
# The other presets exist for the tests.
if [ "$preset" != release ] || [ "${DBRX_WITH_TESTS:-}" = 1 ]; then
  wanted=test
  tests=ON
fi
if [ "$preset" = clang ] || [ "${DBRX_WITH_CLANG:-}" = 1 ]; then wanted=all; fi
scripts/setup.sh "$wanted"
export PATH="$PATH:$HOME/.cargo/bin"
mkdir -p build
log=build/configure-$preset.log
cmake --preset "$preset" -DDBRX_TESTS=$tests -DDBRX_BENCH=$tests >"$log" 2>&1 ||
  { cat "$log" >&2; exit 1; }
cmake --build --preset "$preset"
