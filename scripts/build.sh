#!/usr/bin/env bash
# Installs what is missing and builds. Usage: scripts/build.sh [--tests] [preset [target ...]]
# Without arguments: the program, build/release/dbrx. --tests adds the tests. The other
# presets (CMakePresets.json) exist for tests and always have them.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=OFF
if [ "${1:-}" = --tests ]; then
  tests=ON
  shift
fi
preset=${1:-release}
[ $# -eq 0 ] || shift
case $preset in
  release) ;;
  clang | asan | tsan) tests=ON; scripts/setup.sh all ;;
  debug) tests=ON ;;
  *) echo "scripts/build.sh: no preset '$preset': use release, debug, asan, tsan or clang" >&2; exit 2 ;;
esac
if [ $tests = ON ]; then scripts/setup.sh test; else scripts/setup.sh build; fi
export PATH="$PATH:$HOME/.cargo/bin"
mkdir -p build
log=build/configure-$preset.log
cmake --preset "$preset" -DDBRX_TESTS=$tests >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
cmake --build "build/$preset" ${1:+--target "$@"}
